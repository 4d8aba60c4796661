"""Sample photographs for trials and tests; see ATTRIBUTION.md."""

from importlib import resources
from pathlib import Path


def sample_paths() -> list[Path]:
    """Paths of the sample photographs, sorted by name."""
    with resources.as_file(resources.files("mien.samples")) as folder:
        return sorted(folder.glob("*.jpg"))
