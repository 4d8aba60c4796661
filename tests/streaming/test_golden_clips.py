"""The clips that the browser library is compared with are those that Python sees today."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools/write_golden_clips.py"))


@pytest.mark.parametrize("name", TOOL["CLIPS"])
def test_golden_clips_are_up_to_date(name: str) -> None:
    committed = json.loads((ROOT / f"client/tests/golden/{name}.json").read_text())
    today = json.loads(json.dumps(TOOL["golden"](name, TOOL["portraits"]())))
    assert today["frames"] == committed["frames"]
    for seen, known in zip(today["faces"], committed["faces"], strict=True):
        names = [[(face["track_id"], face["label"]) for face in faces] for faces in (seen, known)]
        assert names[0] == names[1], "run python tools/write_golden_clips.py"
        for face, other in zip(seen, known, strict=True):
            # Processors differ in the last bits.
            assert np.allclose(face["box"], other["box"], atol=0.5)
            assert np.allclose(face["points"], other["points"], atol=0.5)
            assert np.allclose(face["probabilities"], other["probabilities"], atol=0.03)
