"""Shared fixtures: a clean environment, sample photographs, tiny models, clips."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

# Threads of OpenBLAS wait by spinning, which costs tests of small matrices three times their CPU.
# Before numpy is imported; programs that tests start inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image as PillowImage

from mien.labels import Expression
from mien.runtime.catalog import shipped_folder
from mien.runtime.session import Session
from mien.runtime.spec import METADATA_KEY, spec_to_json
from mien.samples import sample_paths
from mien.types import InputSpec, ModelSpec

TinyModel = Callable[..., Path]
ClipWriter = Callable[..., Path]

# Containers often forbid it; each worker, and each program that tests start, would then compile all
# that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_DATA_FOLDERS = itertools.count()

# Shells ignore SIGINT in background jobs, and programs that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Isolates tests from the settings and added models of the user."""
    for name in list(os.environ):
        if name.startswith("MIEN_") and name != "MIEN_SHARED_DATA":
            monkeypatch.delenv(name)
    # Only a path: most tests never create it, which `tmp_path` would.
    folder = tmp_path_factory.getbasetemp() / f"mien-data-{next(_DATA_FOLDERS)}"
    monkeypatch.setenv("MIEN_DATA_DIR", str(folder))


@pytest.fixture(scope="session", autouse=True)
def _networks_loaded_once() -> Iterator[None]:
    """Sessions of the same shipped network share what onnxruntime has loaded."""
    load, loaded = Session._load, {}

    def shared(session: Session) -> Any:
        if session.path.parent != shipped_folder():
            return load(session)
        options = session._threads, session._provider, tuple(session._sizes.items())
        key = os.getpid(), session.path, options
        if key not in loaded:
            loaded[key] = load(session)
        return loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "_load", shared)
        yield


@pytest.fixture(scope="session")
def samples() -> dict[str, Path]:
    """The shipped sample photographs by name, without extension."""
    return {path.stem: path for path in sample_paths()}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data outside of the project: MIEN_SHARED_DATA, or ../shared."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MIEN_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"needs data that do not ship: no folder {folder}; see MIEN_SHARED_DATA")
    return folder


@pytest.fixture
def tiny_expression_model(tmp_path: Path) -> TinyModel:
    """Makes ONNX expression models: happiness for bright images, neutral for dark ones.

    The returned function takes ``name``, ``with_spec`` (whether the spec stands in the file) and
    ``folder``, and returns the path. The logits of an 8×8 gray picture in [0, 1] are its mean for
    happiness, one minus its mean for neutral, and 0 for the rest, each times ten.
    """

    def make(
        name: str = "tiny", *, with_spec: bool = True, folder: Path = tmp_path / "tiny-models"
    ) -> Path:
        labels = tuple(Expression)
        weights = np.zeros((1, len(labels)), np.float32)
        bias = np.zeros(len(labels), np.float32)
        weights[0, labels.index(Expression.HAPPINESS)] = 10
        weights[0, labels.index(Expression.NEUTRAL)] = -10
        bias[labels.index(Expression.NEUTRAL)] = 10
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["mean"]),
                helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
            ],
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(labels)])],
            [
                numpy_helper.from_array(weights, "weights"),
                numpy_helper.from_array(bias, "bias"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        spec = ModelSpec(
            name=name,
            task="expression",
            file=f"{name}.onnx",
            input=InputSpec("image", (8, 8), "gray", mean=(0.0,), std=(255.0,)),
            outputs=("logits",),
            license="MIT",
            source="built by the tests",
            labels=labels,
            training_prior=(1 / len(labels),) * len(labels),
        )
        if with_spec:
            helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return make


@pytest.fixture(scope="session")
def write_clip() -> ClipWriter:
    """Writes RGB frames with their times in seconds as a video; returns its path."""
    av = pytest.importorskip("av", reason="videos need PyAV")

    def write(
        path: Path,
        frames: Iterable[tuple[npt.NDArray[np.uint8], float]],
        *,
        sound_s: float = 0.0,
        rotation_deg: int = 0,
    ) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 12_800)
            if rotation_deg:
                stream.set_display_rotation(rotation_deg)
            sound = container.add_stream("aac", rate=16_000, layout="mono") if sound_s else None
            for number, (image, timestamp_s) in enumerate(frames):
                if number == 0:
                    stream.height, stream.width = image.shape[:2]
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(timestamp_s * 12_800), Fraction(1, 12_800)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if sound is not None:
                for start in range(0, int(sound_s * 16_000), 1024):
                    tone = np.sin(np.arange(start, start + 1024) * 0.17).astype(np.float32)
                    chunk = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
                    chunk.sample_rate, chunk.pts = 16_000, start
                    container.mux(sound.encode(chunk))
                container.mux(sound.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def smile_frames(samples: dict[str, Path]) -> list[tuple[npt.NDArray[np.uint8], float]]:
    """Three seconds of person A, 480 by 270: neutral, a quarter of a second of change, smiling.

    The change is a cross-fade from 1.5 s on; the picture sways by a few pixels, and has noise.
    """
    looks = [
        np.asarray(PillowImage.open(samples[f"person-a-{look}"]).convert("RGB").resize((360, 360)))
        for look in ("neutral", "smiling")
    ]
    noises = 4 * np.random.default_rng(4).standard_normal((10, 270, 480, 3), np.float32)
    frames = []
    for number in range(75):
        timestamp_s = number / 25
        share = min(1.0, max(0.0, (timestamp_s - 1.5) / 0.25))
        look = (1 - share) * looks[0] + share * looks[1]
        x, y = round(60 + 6 * np.sin(2 * timestamp_s)), round(45 + 4 * np.cos(3 * timestamp_s))
        canvas = np.full((270, 480, 3), 120, np.float32)
        canvas[:, x : x + 360] = look[y : y + 270]
        canvas += noises[number % len(noises)]
        frames.append((canvas.clip(0, 255).astype(np.uint8), timestamp_s))
    return frames


@pytest.fixture(scope="session")
def smile_clip(
    tmp_path_factory: pytest.TempPathFactory,
    write_clip: ClipWriter,
    smile_frames: list[tuple[npt.NDArray[np.uint8], float]],
) -> Path:
    """`smile_frames` as an MP4 with sound."""
    path = tmp_path_factory.mktemp("clips") / "smile.mp4"
    return write_clip(path, smile_frames, sound_s=3.0)


@pytest.fixture(scope="session")
def sparse_clip(
    tmp_path_factory: pytest.TempPathFactory,
    write_clip: ClipWriter,
    smile_frames: list[tuple[npt.NDArray[np.uint8], float]],
) -> Path:
    """Every third of `smile_frames` as an MP4 with sound."""
    path = tmp_path_factory.mktemp("clips") / "sparse.mp4"
    return write_clip(path, smile_frames[::3], sound_s=3.0)
