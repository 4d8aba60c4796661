"""What `import mien` offers, and what it costs."""

import json
import subprocess
import sys
from typing import Any

import pytest

import mien
from mien.errors import SettingError


def _run_python(code: str) -> Any:
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(finished.stdout)


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(mien.__all__) == [
        "Affect",
        "Box",
        "Detection",
        "Expression",
        "ExpressionScores",
        "Face",
        "FacePipeline",
        "FaceStream",
        "FrameResult",
        "Landmarks",
        "MienError",
        "Quality",
        "Settings",
        "Signals",
        "analyze",
        "annotate",
        "blur_faces",
        "read_image",
        "stream",
    ]


@pytest.mark.parametrize("name", mien.__all__)
def test_every_public_name_can_be_had_and_is_documented(name: str) -> None:
    assert getattr(mien, name).__doc__


def test_importing_mien_loads_no_heavy_module() -> None:
    loaded = _run_python("import sys, json, mien; print(json.dumps(sorted(sys.modules)))")
    assert "mien.types" in loaded
    assert not {"cv2", "onnxruntime", "torch", "flask", "PIL", "av"} & set(loaded)


def test_everything_but_training_works_where_torch_is_not_installed() -> None:
    code = (
        "import sys, json; sys.modules['torch'] = None\n"
        "import mien, mien.cli, mien.web, mien.pipeline, mien.streaming, mien.evaluation\n"
        "print(json.dumps(sys.modules['torch'] is None))"
    )
    assert _run_python(code) is True


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'emotion'"):
        _ = mien.emotion


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(SettingError, match="got 'backend'"):
        mien.analyze("photo.jpg", backend="mtcnn")
