"""Adapting an expression model to the labels of a user, with figures from before and after."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.adaptation import report
from mien.adaptation.faces import LabeledFaces, find_faces, read_features
from mien.adaptation.head import Features
from mien.adaptation.model_file import other_labels, with_extra_outputs, write_model
from mien.adaptation.selection import Chosen, choose_head, choose_strength
from mien.config import Settings
from mien.errors import ModelError, SettingError
from mien.evaluation.calibration import uncertain_threshold
from mien.evaluation.dataset import IntArray, LabeledSet
from mien.evaluation.predict import PREDICTED, Predictions, Progress
from mien.evaluation.readers import read_data
from mien.evaluation.summary import plain, summarize
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.files import unwritable
from mien.geometry import Array
from mien.labels import Expression, labels_of, own_labels
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.types import ModelSpec

_FIGURES = (
    "n",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "ece",
    "intervals",
    "per_class",
    "confusion",
)

# On how many pictures in all, and at least of each label, networks beside the base are tried. In 22
# draws of 40 to 200 pictures a label, what was chosen on 25 was what all pictures chose.
_TRIED, _LEAST_TRIED = 200, 25

_FEW_PEOPLE = 5
"""With fewer, the folds of the cross-validation are not of five parts of the people."""


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """What adapting a model gave.

    Attributes:
        kept: whether the adapted model is better; if not, no file was written.
        reason: why it was kept or not, in words.
        model: the file of the adapted model, or None.
        facts: names of the data and the base, labels, and strength of the pull to the base.
        before: figures of the base under the prior of the settings, restricted to the labels of
            the data; None where it knows none of them.
        after: figures of the adapted model from cross-validation.
        left_out: the pictures that were not used, by reason.

    Examples:
        >>> adapted = mien.adapt("pictures", "my.onnx")
        >>> adapted.after["n"]
        8
    """

    kept: bool
    reason: str
    model: Path | None
    facts: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any]
    left_out: dict[str, tuple[str, ...]]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the figures should know: of how few people they are, or by chance."""
        return (*self._few_people(), *self._by_chance())

    def _few_people(self) -> tuple[str, ...]:
        alone = [label for label, count in self.facts["groups_per_label"].items() if count == 1]
        if alone:
            return (
                f"all pictures of {', '.join(alone)} are of one person, or copies of one picture, "
                "and what was learned could not be checked on others: add pictures of other people",
            )
        if self.facts["groups"] < _FEW_PEOPLE:
            return (
                f"the pictures are of {self.facts['groups']} people only, and the figures say "
                "little about others: add pictures of other people",
            )
        return ()

    def _by_chance(self) -> tuple[str, ...]:
        chance = 1 / len(self.facts["labels"])
        interval = self.after["intervals"].get("balanced_accuracy")
        if not self.kept or interval is None or interval[0] > chance:
            return ()
        return (
            f"the balanced accuracy of the adapted model is {100 * interval[0]:.1f} to "
            f"{100 * interval[1]:.1f} % (95 % interval), and chance is {100 * chance:.1f} %: the "
            "model may have learned nothing; add pictures",
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "kept": self.kept,
            "reason": self.reason,
            "warnings": list(self.warnings),
            "model": None if self.model is None else str(self.model),
            **self.facts,
            "before": self.before,
            "after": self.after,
            "left_out": {reason: list(names) for reason, names in self.left_out.items()},
        }

    def to_markdown(self) -> str:
        """The result as Markdown tables."""
        return report.to_markdown(self.to_dict())


def adapt(
    data: str | Path | LabeledSet,
    out: str | Path,
    *,
    crops: bool | None = None,
    labeling: str = "ferplus",
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Adaptation:
    """Adapt an expression model to labels of your own, from 3 to 500 pictures of each.

    A small classifier on the model's probabilities and embedding, and on blendshapes and those of
    two other networks where they help, is fitted; its weights are pulled to the networks' own
    mapping, by a strength that cross-validation chooses. Pictures of one person (the columns
    ``group``, ``person`` or ``subject``), or near-duplicates where persons are not named, are never
    on both sides of the validation. All labels count the same. Only a better model is written.

    Args:
        data: a labeled set, or the path of one; see :func:`mien.evaluation.readers.read_data`.
            The labels may have any names.
        out: the ONNX file to write, which contains the network, its spec and a card.
        crops: whether the pictures are tight face crops; None uses what the data set says.
        labeling: ``"ferplus"`` or ``"fer2013"``, where a data set has both.
        settings: of the pipeline; ``model`` names the base, which must be an ONNX model.
        progress: called with the number of pictures done, and their total.

    Raises:
        DataError: there are fewer than two labels, or too few pictures of a label.
        SettingError: `out` does not end in ``.onnx``, or cannot be written there.
        ModelError: the base cannot be adapted.

    Examples:
        >>> adapted = mien.adapt("pictures", "my.onnx")  # one folder for each label
        >>> adapted.kept == (adapted.model is not None)
        True
    """
    path = Path(out)
    reason = unwritable(path) if path.suffix == ".onnx" else "another ending"
    if reason:
        raise SettingError(
            "expected the name of an .onnx file in a folder that can be written to, got "
            f"{path} ({reason})"
        )
    settings = settings or Settings()
    pipeline = FacePipeline(settings)
    classifier = pipeline.classifier
    base = base_network(settings)
    labeled = _read(data, labeling, crops)
    faces = find_faces(labeled, pipeline, _half(progress, 0))
    features, chosen = _fit(base, faces, _half(progress, 1))
    before = known_probabilities(faces.scores, _own_mapping(classifier.spec.labels, faces.labels))
    with with_extra_outputs(base, chosen.head.used()) as wide:
        kept, reason = _decide(before, chosen.held_out, faces.truth)
        result = Adaptation(
            kept=kept,
            reason=reason,
            model=path if kept else None,
            facts=_facts(labeled, faces, base.spec, chosen),
            before=None if before is None else _figures(labeled.name, faces, before),
            after=_figures(labeled.name, faces, chosen.held_out),
            left_out=faces.left_out,
        )
        if result.kept:
            spec = _adapted_spec(wide.spec, faces, chosen, result)
            write_model(wide, chosen.head, spec, result.to_markdown(), path)
            _check_file(path, spec, faces, features, chosen)
    return result


def _fit(
    base: CatalogEntry, faces: LabeledFaces, progress: Progress | None
) -> tuple[Features, Chosen]:
    """What the networks say about all faces, and the head on it.

    Blendshapes and other networks take ten times as long as the base. Whether they are worth it
    is decided on some of the faces, and only those that are read the others.
    """
    few, rest = _tried(faces.truth)
    total = len(faces.truth)
    with with_extra_outputs(base) as wide:
        crops = [faces.crops[row] for row in few]
        features = read_features(crops, NeuralClassifier(wide), _part(progress, 0, total))
    mapping = whole_mapping(base.spec, faces.labels, features)
    if len(rest):
        needed = choose_strength(features, faces.truth[few], mapping, faces.groups[few]).needed()
        with with_extra_outputs(base, needed) as narrow:
            crops = [faces.crops[row] for row in rest]
            others = read_features(
                crops, NeuralClassifier(narrow), _part(progress, len(few), total)
            )
        features = features.joined(others).take(np.argsort(np.concatenate([few, rest])))
        mapping = whole_mapping(base.spec, faces.labels, features)
    return features, choose_head(features, faces.truth, mapping, faces.groups)


def _tried(truth: IntArray) -> tuple[IntArray, IntArray]:
    """The rows on which networks are tried, and the others."""
    counts = np.bincount(truth)
    each = max(_LEAST_TRIED, _TRIED // len(counts))
    order = np.random.default_rng(0).permutation(len(truth))
    few = np.concatenate([order[truth[order] == label][:each] for label in range(len(counts))])
    return np.sort(few), np.setdiff1d(order, few)


def _read(data: str | Path | LabeledSet, labeling: str, crops: bool | None) -> LabeledSet:
    labeled = data if isinstance(data, LabeledSet) else read_data(Path(data), labeling, own_labels)
    return labeled if crops is None else dataclasses.replace(labeled, face_crops=crops)


def _half(progress: Progress | None, number: int) -> Progress | None:
    """Of a progress bar, the first or second half."""
    if progress is None:
        return None
    return lambda done, total: progress(done + number * total, 2 * total)


def _part(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Of a progress bar, a part that begins after some steps of the whole."""
    return None if progress is None else lambda done, _: progress(before + done, total)


def base_network(settings: Settings) -> CatalogEntry:
    """The network that is adapted: the expression model of settings, or the ensemble's first.

    Raises:
        ModelError: the model is not an ONNX network.
    """
    name = str(settings.model)
    is_default = name in ("default", catalog.DEFAULT_EXPRESSION_MODEL)
    entry = catalog.find(catalog.BASE_EXPRESSION_MODEL if is_default else name, task="expression")
    if entry.path.suffix != ".onnx":
        raise ModelError(f"expected a network to adapt, got {entry.spec.name!r}: choose transfer")
    return entry


def whole_mapping(spec: ModelSpec, labels: tuple[Expression, ...], features: Features) -> Array:
    """``(C + O, K)`` the mapping of the network's labels, and of the other networks' if used."""
    others = other_labels() if features.other_logs.size else ()
    return _own_mapping((*spec.labels, *others), labels)


def _own_mapping(outputs: Sequence[Expression], labels: Sequence[Expression]) -> Array:
    """``(C, K)``: 1 where an output of a network means a label of the user."""
    meaning = labels_of(dict.fromkeys(outputs))([label.value for label in labels])
    # Where two labels mean the same output, it cannot say which of them a picture shows.
    meant = [meaning.get(label.value) for label in labels]
    return np.array([[float(output == label) for label in meant] for output in outputs])


def known_probabilities(scores: Array, mapping: Array) -> Array | None:
    """``(N, K)`` of a model as it is, for the labels of the data; None where it knows none of them.

    Args:
        scores: ``(N, C)`` probabilities of the model's labels.
        mapping: ``(C, K)`` or more rows, as of :func:`whole_mapping`.
    """
    mapping = mapping[: scores.shape[1]]
    if not mapping.any():
        return None
    probabilities = scores @ mapping + 1e-12
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


def _decide(before: Array | None, after: Array, truth: np.ndarray[Any, Any]) -> tuple[bool, str]:
    """Whether an adapted model is worth keeping, and why.

    All labels count the same; a difference counts where it is larger than its standard error.

    Args:
        before, after: ``(N, K)`` probabilities.
        truth: ``(N,)`` index of the label.
    """
    classes = after.shape[1]
    share = len(truth) / (classes * np.bincount(truth, minlength=classes))
    weights, rows = share[truth], np.arange(len(truth))
    hits = weights * (after.argmax(axis=1) == truth)
    mean, error = _mean_and_error(hits)
    if mean < 1 / classes + 2 * error:
        return False, "the labels cannot be distinguished better than by chance"
    if before is None:
        return True, "the model knew none of these labels before"
    gain, gain_error = _mean_and_error(hits - weights * (before.argmax(axis=1) == truth))
    losses = [-np.log(np.maximum(p[rows, truth], 1e-3)) * weights for p in (before, after)]
    saved, saved_error = _mean_and_error(losses[0] - losses[1])
    if gain > gain_error and saved > -saved_error:
        return True, f"balanced accuracy rises by {100 * gain:.1f} points"
    if saved > saved_error and gain > -gain_error / 2:
        return True, "the probabilities fit the labels better"
    return False, "nothing is gained over the model as it is"


def _mean_and_error(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


def _figures(name: str, faces: LabeledFaces, probabilities: Array) -> dict[str, Any]:
    predictions = Predictions(
        data=name,
        labels=faces.labels,
        truth=faces.truth,
        probabilities=probabilities,
        outcome=np.full(len(faces.truth), PREDICTED),
        names=faces.names,
    )
    summary = summarize(predictions)
    return {name: summary[name] for name in _FIGURES}


def _facts(
    data: LabeledSet, faces: LabeledFaces, base: ModelSpec, chosen: Chosen
) -> dict[str, Any]:
    return {
        "data": data.name,
        "base": base.name,
        "labels": [label.value for label in faces.labels],
        "n": len(faces.truth),
        "groups": len(np.unique(faces.groups)),
        "groups_per_label": {
            label.value: len(np.unique(faces.groups[faces.truth == index]))
            for index, label in enumerate(faces.labels)
        },
        "pull": dataclasses.asdict(chosen.strength),
    }


def _adapted_spec(
    base: ModelSpec, faces: LabeledFaces, chosen: Chosen, result: Adaptation
) -> ModelSpec:
    rule = uncertain_threshold(chosen.held_out, faces.truth)
    assert result.model is not None
    count = len(faces.labels)
    after = result.after
    return dataclasses.replace(
        base,
        name=result.model.stem,
        source=f"adapted from {base.name} (version {base.version}); {base.source}",
        version="1",
        labels=faces.labels,
        temperature=1.0,
        training_prior=(1 / count,) * count,
        prior="natural",
        uncertain_below=round(rule["threshold"], 4),
        training_data=f"{len(faces.truth)} pictures of {result.facts['data']}, all labels "
        f"counting the same, on top of: {base.training_data}",
        metrics=plain(
            {
                "cross_validated_balanced_accuracy": after["balanced_accuracy"],
                "cross_validated_ece": after["ece"],
            }
        ),
    )


def _check_file(
    path: Path, spec: ModelSpec, faces: LabeledFaces, features: Features, chosen: Chosen
) -> None:
    """Run the written file on a few pictures; raises ModelError where it differs from the head."""
    few = np.arange(min(4, len(faces.crops)))
    classifier = NeuralClassifier(catalog.find(path))
    found = classifier.logits([faces.crops[i] for i in few])
    expected = chosen.head.logits(features.take(few))
    if not np.allclose(softmax(found.astype(np.float64)), softmax(expected), atol=1e-3):
        path.unlink()
        raise ModelError(f"expected {spec.name!r} to compute the fitted probabilities: report this")


__all__ = ["Adaptation", "adapt"]
