"""A model on several data sets in one table, as it is and adapted with ten pictures a label."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.adaptation import base_network, known_probabilities, whole_mapping
from mien.adaptation.faces import find_crops, person_groups, read_features
from mien.adaptation.head import Features
from mien.adaptation.model_file import with_extra_outputs
from mien.adaptation.selection import choose_head, stratified_folds
from mien.errors import DataError
from mien.evaluation.dataset import IntArray, LabeledSet
from mien.evaluation.figures import balanced_accuracy, ece, figures
from mien.evaluation.predict import Selection, predictable_rows
from mien.evaluation.readers import read_data
from mien.evaluation.summary import MIN_IN_CLASS, markdown_table, percent, plain
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.geometry import Array
from mien.labels import Expression, labels_of, own_labels
from mien.pipeline import FacePipeline
from mien.reader import read

_EACH = 10
"""Pictures of each label that a model is adapted with."""

_DRAWS = 3


@dataclass(frozen=True, slots=True)
class Domain:
    """One table of the TOML file.

    Attributes:
        path: of the data set, relative to the file.
        crops: whether the pictures are face crops; by default what the data set says.
        labeling: ``"ferplus"`` or ``"fer2013"``, where a data set has both.
        split: as in ``mien evaluate``.
        labels: restricts the predictions to some labels.
        limit: maximum number of pictures, drawn at random; 0 for all.
    """

    path: str
    crops: bool | None = None
    labeling: str = "ferplus"
    split: str | None = None
    labels: tuple[str, ...] = ()
    limit: int = 0


def read_domains(path: Path) -> dict[str, Domain]:
    """The data sets of a TOML file, by name.

    Raises:
        DataError: the file cannot be read, or a table in it is invalid.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"expected a TOML file of data sets at {path}: {error}") from None
    if not document:
        raise DataError(f"expected a table for each data set in {path}, such as [mine], got none")
    found = {}
    for name, values in document.items():
        domain = read(Domain, values, error=DataError, where=f" in [{name}] of {path}")
        found[name] = replace(domain, path=str(path.parent / domain.path))
    return found


def measure_domains(
    domains: Mapping[str, Domain],
    pipeline: FacePipeline,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Figures of a model on each data set.

    Pictures in which the face is not found count as wrong. For the figures after adaptation, half
    of the people (or near-duplicates) give ten pictures of each label, and the other half is
    measured; labels with fewer than 30 pictures are left out. They are means of three draws.

    Raises:
        DataError: a data set cannot be read, or has no row that the model can predict.
    """
    model = pipeline.classifier.name
    return [
        plain({"domain": name, "model": model, **_measure(domain, pipeline, progress)})
        for name, domain in domains.items()
    ]


def _measure(
    domain: Domain, pipeline: FacePipeline, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    classifier = pipeline.classifier
    base = base_network(pipeline.settings)
    rows, labels = _rows(domain, classifier.spec.labels)
    found, _ = find_crops(rows, pipeline, progress)
    if not found:
        raise DataError(f"expected faces in the pictures of {rows.name}, found none")
    seen = np.array(list(found))
    crops, scores = zip(*found.values(), strict=True)
    with with_extra_outputs(base) as wide:
        features = read_features(crops, NeuralClassifier(wide), progress)
    before = np.full((len(rows), len(labels)), np.nan)
    mapping = whole_mapping(classifier.spec, labels, features)
    known = known_probabilities(np.array(scores, np.float64), mapping)
    assert known is not None
    before[seen] = known
    main = figures(before, rows.label_index)
    large = np.flatnonzero(main.matrix.sum(axis=1) >= MIN_IN_CLASS)
    groups = person_groups(rows.take(seen), crops)
    truth = rows.label_index[seen]
    return {
        "n": len(rows),
        "accuracy": main.accuracy,
        "balanced_accuracy": main.balanced_accuracy,
        f"balanced_accuracy_n{MIN_IN_CLASS}": balanced_accuracy(main.matrix, large),
        "ece": main.ece,
        f"adapted_{_EACH}": _adapted(features, truth, mapping, groups, known),
    }


def _rows(
    domain: Domain, known: tuple[Expression, ...]
) -> tuple[LabeledSet, tuple[Expression, ...]]:
    """The rows that the model can predict, and their labels in the model's order."""
    data = read_data(Path(domain.path), domain.labeling, labels_of(known))
    only = tuple(own_labels(domain.labels).values()) or None
    selection = Selection(crops=domain.crops, split=domain.split, limit=domain.limit)
    rows, _ = selection.apply(data, known)
    rows, labels = predictable_rows(rows, known, only)
    return rows.relabel(labels).labeled(), labels


def _adapted(
    features: Features, truth: IntArray, mapping: Array, groups: IntArray, before: Array
) -> dict[str, Any] | None:
    """Balanced accuracy and ECE on one half of the people, before and after adaptation."""
    counts = np.bincount(truth, minlength=mapping.shape[1])
    large = np.flatnonzero(counts >= MIN_IN_CLASS)
    if len(large) < 2:
        return None
    place = np.full(len(counts), -1)
    place[large] = np.arange(len(large))
    rows = np.flatnonzero(place[truth] >= 0)
    found = []
    for draw in range(_DRAWS):
        rng = np.random.default_rng(draw)
        order = rng.permutation(rows)
        half = stratified_folds(place[truth[order]], rng.permutation(len(groups))[groups[order]], 2)
        pool, rest = order[half == 0], order[half == 1]
        few = np.concatenate([pool[truth[pool] == label][:_EACH] for label in large])
        chosen = choose_head(features.take(few), place[truth[few]], mapping[:, large], groups[few])
        after = softmax(chosen.head.logits(features.take(rest)))
        was = before[rest][:, large] / before[rest][:, large].sum(axis=1, keepdims=True)
        found.append([*_figures(was, place[truth[rest]]), *_figures(after, place[truth[rest]])])
    mean = np.mean(found, axis=0)
    names = ("balanced_accuracy", "ece")
    return {
        "before": dict(zip(names, mean[:2], strict=True)),
        "after": dict(zip(names, mean[2:], strict=True)),
        "labels": len(large),
        "draws": _DRAWS,
    }


def _figures(probabilities: Array, truth: IntArray) -> tuple[float, float]:
    main = figures(probabilities, truth)
    correct = probabilities.argmax(axis=1) == truth
    return main.balanced_accuracy, ece(probabilities.max(axis=1), correct)


def to_markdown(results: list[dict[str, Any]]) -> str:
    """The results as one table."""
    header = ["data", "n", "accuracy", "balanced", "ECE"]
    header += [f"before, balanced / ECE (labels of {MIN_IN_CLASS}+)", f"adapted with {_EACH} each"]
    rows = []
    for result in results:
        adapted = result[f"adapted_{_EACH}"]
        pairs = ["–", "–"] if adapted is None else [_pair(adapted[k]) for k in ("before", "after")]
        shown = (percent(result[key]) for key in ("accuracy", "balanced_accuracy", "ece"))
        rows.append([result["domain"], str(result["n"]), *shown, *pairs])
    title = f"# {results[0]['model']} on several data sets" if results else "# No data sets"
    return f"{title}\n\n{markdown_table(header, rows)}\n"


def _pair(values: Mapping[str, float]) -> str:
    return f"{percent(values['balanced_accuracy'])} / {percent(values['ece'])}"
