"""Photographs that ship with mien, to try it and to test it; see ATTRIBUTION.md."""

from importlib import resources
from pathlib import Path


def sample_paths() -> list[Path]:
    """The sample photographs' files, by name."""
    with resources.as_file(resources.files("mien.samples")) as folder:
        return sorted(folder.glob("*.jpg"))
