"""Train heads on the features of `transfer` that predict what other networks answer.

    python tools/mix_heads.py own.onnx --small ferplus=1 --sharp ferplus=1
    python tools/distill_heads.py --own own.onnx --ferplus ferplus.npz \
        --photographs lfw-more --out tools/heads.npz

Faces: FER+'s train split without near-duplicates of its valid split, and photographs with a face
each, which need no labels. Each teacher answers to a face in its own crop and to its mirror image;
the answers' mean is what its head is trained on, with augmented views of the same face. The heads
are linear and the network itself does not change, so that everything but the fit is done once.
`tools/mix_heads.py` makes a model from the result.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from mien import geometry, imaging
from mien.errors import ImageReadError
from mien.evaluation.readers import read_data
from mien.expression.crop import crop_transform, face_crop, landmarks_of_crop
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.training.augmentation import Augmentation, augment
from mien.types import Box, FloatArray, Image, Landmarks

Array = npt.NDArray[np.float64]
Transform = npt.NDArray[np.float64]

AMOUNT = Augmentation(
    turn_deg=12, scale=0.15, shift=0.06, light=0.7, noise=0.2, compress=0.2, erase=0.15
)
OPENCV_TEMPERATURE = 1.5
# The shares of RAF-DB, on which OpenCV Zoo's network was trained.
RAF_DB = {
    Expression.ANGER: 0.057,
    Expression.DISGUST: 0.058,
    Expression.FEAR: 0.023,
    Expression.HAPPINESS: 0.389,
    Expression.NEUTRAL: 0.206,
    Expression.SADNESS: 0.162,
    Expression.SURPRISE: 0.105,
}
WORLD = {"intel": 0.4, "opencv": 0.25, "ferplus": 0.35}
"""What the head `world` is trained on, under the uniform prior."""

_PHOTOGRAPH_WEIGHT, _RARE_WEIGHT = 2.0, 3.0
_BATCH, _EPOCHS, _RATE, _DECAY, _DROPOUT = 512, 8, 2e-3, 0.02, 0.3
# Photographs are kept as gray crops of this scale and margin around the network's input.
_ENLARGED, _MARGIN = 1.5, 0.25


_OWN_HEAD = ("ferplus_weight", "ferplus_bias")


@dataclass(frozen=True, slots=True)
class _Teachers:
    own: NeuralClassifier
    intel: NeuralClassifier
    opencv: NeuralClassifier


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    image: Image
    transform: Transform
    answers: Mapping[str, Array]
    weight: float


def main() -> None:
    """Read, ask the teachers, compute features, fit, write."""
    options = _parse()
    teachers = _Teachers(
        *(NeuralClassifier(catalog.find(n)) for n in (options.own, "direct", options.opencv))
    )
    pipeline = FacePipeline()
    faces = [*_ferplus(options, pipeline, teachers), *_photographs(options, pipeline, teachers)]
    print(f"{len(faces)} faces", flush=True)
    features = _features(faces, teachers.own, options.views)
    targets = {name: np.stack([face.answers[name] for face in faces]) for name in WORLD}
    targets["world"] = _world(targets, teachers)
    weights = np.array([face.weight for face in faces])
    with np.load(Path(__file__).with_name("heads.npz")) as stored:
        heads: dict[str, FloatArray] = {name: stored[name] for name in _OWN_HEAD}
    world = fit(features, targets["world"], weights, options.views)
    for name in ("world", "intel", "opencv"):
        head = world if name == "world" else fit(features, targets[name], weights, options.views)
        labels = {"intel": teachers.intel, "opencv": teachers.opencv}.get(name, teachers.own)
        whole = _over_all_labels(head, labels.spec.labels, world, teachers.own.spec.labels)
        heads[f"{name}_weight"], heads[f"{name}_bias"] = (p.astype(np.float32) for p in whole)
    np.savez(options.out, **heads)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ferplus", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, help="folder of photographs with a face each")
    parser.add_argument("--own", default="transfer", help="the network with its FER+ head alone")
    parser.add_argument("--opencv", default="opencv-fer", help="name or file of OpenCV Zoo's model")
    parser.add_argument("--views", type=int, default=3, help="augmented views of each face")
    parser.add_argument("--limit", type=int, default=0, help="faces of each set; 0 for all")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _ferplus(
    options: argparse.Namespace, pipeline: FacePipeline, teachers: _Teachers
) -> Iterator[_Face]:
    data = read_data(options.ferplus)
    assert data.group is not None
    train = data.split == "train"
    rows = np.flatnonzero(train & ~np.isin(data.group, data.group[~train]))
    for row in rows[: options.limit or None]:
        image = data.load(int(row))
        landmarks = landmarks_of_crop(image, pipeline.landmarks)
        answers = _ask(image, None, landmarks, teachers)
        spec = teachers.own.spec
        rare = {"anger", "disgust", "fear", "contempt"}
        share = sum(
            p for label, p in zip(spec.labels, answers["ferplus"], strict=True) if label in rare
        )
        transform = crop_transform(image, None, landmarks, spec)
        yield _Face(image, transform, answers, 1 + _RARE_WEIGHT * float(share))


def _photographs(
    options: argparse.Namespace, pipeline: FacePipeline, teachers: _Teachers
) -> Iterator[_Face]:
    if options.photographs is None:
        return
    data = read_data(options.photographs)
    spec = teachers.own.spec
    side = spec.input.size_wh[0]
    wide = round(side * _ENLARGED * (1 + 2 * _MARGIN))
    enlarge = geometry.similarity(_ENLARGED, translation=(_MARGIN * side * _ENLARGED,) * 2)
    for row in range(min(len(data), options.limit or len(data))):
        try:
            image = imaging.as_rgb(data.load(row))
        except ImageReadError:
            continue
        found = pipeline.analyze(image).faces
        if found:
            face = max(found, key=lambda face: face.box.width * face.box.height)
            answers = _ask(image, face.box, face.landmarks, teachers)
            transform = crop_transform(image, face.box, face.landmarks, spec)
            crop = imaging.warp(image, geometry.compose(enlarge, transform), (wide, wide))
            yield _Face(
                imaging.to_gray(crop), geometry.invert(enlarge), answers, _PHOTOGRAPH_WEIGHT
            )


def _ask(
    image: Image, box: Box | None, landmarks: Landmarks | None, teachers: _Teachers
) -> dict[str, Array]:
    """Each teacher's mean probabilities of the plain and the mirrored face."""
    answers = {}
    for name, teacher in (
        ("ferplus", teachers.own),
        ("intel", teachers.intel),
        ("opencv", teachers.opencv),
    ):
        crop = face_crop(image, box, landmarks, teacher.spec).image
        logits = teacher.logits([crop, np.ascontiguousarray(crop[:, ::-1])]).astype(np.float64)
        temperature = OPENCV_TEMPERATURE if name == "opencv" else teacher.spec.temperature
        answers[name] = softmax(logits / temperature).mean(axis=0)
    return answers


def _world(answers: Mapping[str, Array], teachers: _Teachers) -> Array:
    """The mixture under the uniform prior, over all labels of `transfer`."""
    spec = teachers.own.spec
    own = _normalized(answers["ferplus"] / np.asarray(spec.training_prior))
    mixed = WORLD["ferplus"] * own
    for name, teacher in (("intel", teachers.intel), ("opencv", teachers.opencv)):
        labels = teacher.spec.labels
        given = answers[name]
        if name == "opencv":
            given = _normalized(given / np.array([RAF_DB[label] for label in labels]))
        known = [spec.labels.index(label) for label in labels]
        whole = own.copy()
        whole[:, known] = 0
        whole[:, known] = given * (1 - whole.sum(axis=1, keepdims=True))
        mixed = mixed + WORLD[name] * whole
    return np.asarray(mixed)


def _normalized(values: Array) -> Array:
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _features(faces: list[_Face], network: NeuralClassifier, views: int) -> FloatArray:
    """``(views * N, F)`` pooled features of augmented views, view by view."""
    entry = catalog.find(network.name)
    model = onnx.load(entry.path)
    pooled = next(n for n in reversed(model.graph.node) if n.op_type in ("Gemm", "MatMul")).input[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(pooled, 1, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rng = np.random.default_rng(5)
    size_wh, spec = network.spec.input.size_wh, network.spec.input
    parts = []
    for _ in range(views):
        for start in range(0, len(faces), 32):
            crops = [
                augment(face.image, face.transform, size_wh, AMOUNT, rng)
                for face in faces[start : start + 32]
            ]
            batch = {spec.name: imaging.to_input(crops, spec)}
            parts.append(session.run([pooled], batch)[0].reshape(len(crops), -1))
    return np.concatenate(parts)


def fit(features: FloatArray, targets: Array, weights: Array, views: int) -> tuple[Array, Array]:
    """A linear layer by AdamW (Loshchilov and Hutter 2019) against soft targets.

    Args:
        features: ``(views * N, F)``.
        targets: ``(N, K)`` probabilities.
        weights: ``(N,)`` how often a face is drawn.
        views: of each face.

    Returns:
        ``(K, F)`` weights and ``(K,)`` biases.
    """
    rng = np.random.default_rng(0)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 0.05
    drawn = np.tile(weights / weights.sum(), views) / views
    inputs, classes = features.shape[1], targets.shape[1]
    layer = np.zeros((inputs + 1, classes))
    first, second = np.zeros_like(layer), np.zeros_like(layer)
    steps = max(1, _EPOCHS * len(features) // _BATCH)
    for step in range(steps):
        rows = rng.choice(len(features), _BATCH, p=drawn)
        x = (features[rows] - mean) / scale
        x = x * (rng.random(x.shape) >= _DROPOUT) / (1 - _DROPOUT)
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        error = softmax(x @ layer) - targets[rows % len(targets)]
        gradient = x.T @ error / len(x)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        ahead = first / (1 - 0.9 ** (step + 1))
        spread = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
        layer -= _RATE * (1 - step / steps) * (ahead / spread + _DECAY * layer)
    weight = layer[:-1].T / scale
    return weight, layer[-1] - weight @ mean


def _over_all_labels(
    head: tuple[Array, Array],
    labels: tuple[Expression, ...],
    world: tuple[Array, Array],
    whole_labels: tuple[Expression, ...],
) -> tuple[Array, Array]:
    """A head over all labels and without a prior of its own.

    Labels that it does not have keep the distance from its mean that they have in ``world``.
    """
    if labels == whole_labels:
        return head
    shares = np.array([RAF_DB[label] for label in labels]) if len(labels) == len(RAF_DB) else None
    bias = head[1] if shares is None else head[1] - np.log(shares)
    known = [whole_labels.index(label) for label in labels]
    missing = [place for place in range(len(whole_labels)) if place not in known]
    parts = []
    for values, base in ((head[0], world[0]), (bias, world[1])):
        part = np.empty_like(base)
        part[known] = values
        part[missing] = values.mean(axis=0) + base[missing] - base[known].mean(axis=0)
        parts.append(part)
    return parts[0], parts[1]


if __name__ == "__main__":
    main()
