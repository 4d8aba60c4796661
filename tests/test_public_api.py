"""What `import mien` offers, and what it costs."""

import contextlib
import dataclasses
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_type_hints

import numpy as np
import pytest

import mien
from mien.config import SettingKeywords
from mien.errors import InputError, SettingError


def _run_python(code: str) -> Any:
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    return json.loads(finished.stdout)


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(mien.__all__) == [
        "Adaptation",
        "Affect",
        "Box",
        "Detection",
        "Event",
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
        "StreamSettings",
        "adapt",
        "analyze",
        "analyze_video",
        "annotate",
        "blur_faces",
        "read_image",
        "stream",
    ]


@pytest.mark.parametrize("function", [mien.analyze, mien.FacePipeline, mien.stream])
def test_each_setting_is_a_keyword_argument_of_its_type(function: Any) -> None:
    names = {name: getattr(mien, name) for name in mien.__all__}
    parameters = inspect.signature(function, locals=names, eval_str=True).parameters
    for setting in dataclasses.fields(mien.Settings):
        parameter = parameters[setting.name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is None
        accepted = [part for part in get_args(parameter.annotation) if part is not type(None)]
        choices = setting.metadata.get("choices")
        if choices:
            assert Literal[choices] in accepted
        else:
            assert type(setting.default) in accepted


def test_library_calls_do_not_read_the_environment(
    monkeypatch: pytest.MonkeyPatch, samples: dict[str, Path]
) -> None:
    monkeypatch.setenv("MIEN_DETECTOR", "nosuch")
    monkeypatch.setenv("MIEN_THREADS", "many")
    assert mien.FacePipeline().settings == mien.Settings()
    assert mien.FaceStream().pipeline.settings == mien.Settings().for_streams()
    assert len(mien.analyze(samples["person-a-smiling"])) == 1


def test_keywords_override_the_settings() -> None:
    pipeline = mien.FacePipeline(mien.Settings(min_score=0.7, threads=2), detector="haar")
    assert pipeline.settings == mien.Settings(detector="haar", min_score=0.7, threads=2)
    with pytest.raises(SettingError, match="expected min_score from 0"):
        mien.FacePipeline(min_score=7)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    image, anything = np.zeros((8, 8, 3), np.uint8), cast("Any", mien)
    with pytest.raises(SettingError, match=r"settings among detector, .*, provider; got rate"):
        anything.analyze(image, rate=3)
    with pytest.raises(SettingError, match="expected a Settings object, got 'quick'"):
        anything.FacePipeline("quick")
    for clip in (None, 3):
        with pytest.raises(InputError, match="expected the path of a video or a Clip, got"):
            anything.analyze_video(clip, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stream_has_a_pipeline_or_settings_of_one() -> None:
    with pytest.raises(SettingError, match="got both"):
        next(iter(mien.stream("no.mp4", pipeline=mien.FacePipeline(), min_score=0.9)))


def test_results_are_sequences_of_faces(samples: dict[str, Path]) -> None:
    result = mien.analyze(samples["group"])
    assert result[0] is result.faces[0]
    assert result[-1] is result.faces[-1]
    assert result[:2] == result.faces[:2]
    assert [*result] == [*result.faces]
    scores = result[0].expression
    assert scores is not None
    assert scores["Happy"] == scores["happiness"] == scores.as_dict()["happiness"]
    with pytest.raises(InputError, match="expected an expression"):
        scores["hunger"]
    with pytest.raises(InputError, match="expected the name of an expression, got 3"):
        scores[cast("Any", 3)]
    with pytest.raises(IndexError, match="expected a face below 4"):
        result[4]


def test_several_pictures_are_analyzed_in_one_call(samples: dict[str, Path]) -> None:
    group, smiling = samples["group"], samples["person-a-smiling"]
    empty = np.full((64, 64, 3), 128, np.uint8)
    results = mien.analyze([group, str(smiling), empty])
    assert [len(result) for result in results] == [4, 1, 0]
    assert [result.source for result in results] == [str(group), str(smiling), None]
    rows = [row for result in results for row in result.to_rows(empty=True)]
    assert len(rows) == 6
    assert rows[5].keys() == rows[0].keys()
    assert rows[5]["x_min"] is None
    assert len(mien.analyze(smiling.parent.glob("person-a*.jpg"))) >= 1
    stacked: Any = mien.analyze(np.stack([empty, empty]))
    assert [len(result) for result in stacked] == [0, 0]
    assert mien.analyze([]) == []
    with smiling.open("rb") as file:
        assert len(mien.analyze(file)) == 1


def test_several_pictures_have_boxes_each(samples: dict[str, Path]) -> None:
    smiling = samples["person-a-smiling"]
    (box,) = mien.analyze(smiling, boxes=None)
    known = [box.box.x_min, box.box.y_min, box.box.x_max, box.box.y_max]
    results = mien.analyze([smiling] * 2, boxes=[[known, known], None])
    assert [len(result) for result in results] == [2, 1]
    with pytest.raises(InputError, match="expected boxes for each of 2 pictures, got 1"):
        mien.analyze([smiling] * 2, boxes=[known])


def test_an_unreadable_one_of_several_pictures_is_named(samples: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"^nosuch\.jpg: no such file"):
        mien.analyze([samples["person-a-smiling"], "nosuch.jpg"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_several_pictures_have_a_progress_bar_on_a_terminal(samples: dict[str, Path]) -> None:
    import pty

    path = str(samples["person-a-smiling"])
    primary, secondary = pty.openpty()
    code = f"import mien; [mien.analyze([{path!r}] * 3, progress=p) for p in (True, False)]"
    subprocess.run([sys.executable, "-c", code], stderr=secondary, check=True, timeout=600)
    os.close(secondary)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(primary, 4096):
            shown += part
    os.close(primary)
    assert b"pictures" in shown
    assert b"100%" in shown


def test_the_typed_keywords_are_the_settings() -> None:
    names = {setting.name for setting in dataclasses.fields(mien.Settings)}
    assert {*get_type_hints(SettingKeywords)} == names


def test_wrong_names_are_answered_with_those_that_work() -> None:
    for setting, wrong, names in (
        ("detector", "retinaface", r"\(blazeface, blazeface-short, haar, yunet:PATH\)"),
        ("detector", "haar-frontalface", r"\(blazeface, blazeface-short, haar, yunet:PATH\)"),
        ("landmarks", "dlib", r"\(facemesh, face-landmarker, detector\)"),
        ("landmarks", "iris", r"\(facemesh, face-landmarker, detector\)"),
        (
            "model",
            "resnet",
            r"\(ensemble, classical, direct, opencv-fer, quick, scratch, transfer\)",
        ),
        (
            "model",
            "blazeface",
            r"\(ensemble, classical, direct, opencv-fer, quick, scratch, transfer\)",
        ),
        ("model", "ferplus-vgg13", "mien models add ferplus-vgg13"),
        ("prior", "flat", "default, natural, half, uniform"),
        ("provider", "gpu", "cpu, cuda, openvino, coreml"),
        ("tiles", "on", "auto, off"),
    ):
        with pytest.raises(mien.MienError, match=names):
            mien.FacePipeline(mien.Settings().override(**{setting: wrong}))
    assert mien.Expression("Happy") is mien.Expression.HAPPINESS
    with pytest.raises(ValueError, match=r"expected an expression .*neutral, happiness"):
        mien.Expression("hungry")


def test_scores_name_the_labels_that_the_model_has() -> None:
    scores = mien.ExpressionScores((mien.Expression.NEUTRAL,), np.ones(1, np.float32))
    with pytest.raises(InputError, match=r"expressions \(neutral\), got happiness"):
        scores["happy"]


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 3)])
def test_classify_rejects_a_single_crop(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected a list of crops.*pass \[crop\]"):
        mien.FacePipeline().classify(np.zeros(shape, np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", mien.__all__)
def test_every_public_name_can_be_had_and_is_documented(name: str) -> None:
    assert getattr(mien, name).__doc__


def test_importing_mien_loads_no_heavy_module() -> None:
    loaded = _run_python("import sys, json, mien; print(json.dumps(sorted(sys.modules)))")
    assert "mien.errors" in loaded
    assert not {"numpy", "mien.types", "cv2", "onnxruntime", "torch", "flask", "PIL", "av"} & set(
        loaded
    )


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


@pytest.mark.parametrize("source", [None, [], [np.zeros((8, 8, 3), np.uint8)]])
def test_streams_name_what_they_take(source: Any) -> None:
    with pytest.raises(mien.MienError, match="expected the path of a video"):
        next(mien.stream(source))
