"""Steps of the model import: fetch, convert, rewrite, verify, describe."""
