"""How the third-party model files were made: fetch, convert, rewrite, verify, describe."""
