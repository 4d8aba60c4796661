"""The examples run as documented in their docstrings."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")

EXAMPLE = Path(__file__).parents[2] / "examples" / "mood_ranking.py"


def test_a_smile_ranks_sad_titles_lower(smile_clip: Path) -> None:
    words = [sys.executable, str(EXAMPLE), str(smile_clip)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    first, *titles = done.stdout.splitlines()
    assert first.startswith("valence +")
    assert len(titles) == 6
    assert titles[-1].startswith("6. ")
    # A neutral face and then a smile: not the sad or frightening titles.
    assert not {title[3:] for title in titles[:2]} & {"Ghost story", "Solo cello, late evening"}
