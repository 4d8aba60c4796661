"""The model card: what a model is, what it was made from, and what it can do."""

import math
from collections.abc import Mapping, Sequence

from mien.training.recipe import Recipe
from mien.types import ModelSpec

_INTENDED = """\
Tells which of {count} expressions a face apparently shows. An expression is how a face looks; it
is no evidence of what a person feels, thinks or intends. Not for decisions about people: not in
hiring, teaching, policing, credit, insurance, or medicine."""


def write_card(
    spec: ModelSpec,
    recipe: Recipe,
    facts: Mapping[str, int],
    per_class: Mapping[str, Mapping[str, float]],
    files: Sequence[tuple[str, float, float]],
) -> str:
    """The card as Markdown.

    Args:
        spec: with its measured figures.
        recipe: that it was trained by.
        facts: counts of the training data.
        per_class: by label, ``recall_natural``, ``recall_uniform`` and ``n``.
        files: name, size in MB and accuracy of every exported file.
    """
    figures = [
        f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in spec.metrics.items()
    ]
    classes = [
        f"| {label} | {row['n']:.0f} | {_share(row['recall_natural'])} "
        f"| {_share(row['recall_uniform'])} |"
        for label, row in per_class.items()
    ]
    used = [f"| {name.replace('_', ' ')} | {count:,} |" for name, count in facts.items()]
    shares = zip(spec.labels, spec.training_prior, strict=True)
    lines = [
        f"# {spec.name}",
        "",
        recipe.summary.capitalize() + ".",
        "",
        "## Use",
        "",
        _INTENDED.format(count=len(spec.labels)),
        "",
        "## Made from",
        "",
        f"- Network: {recipe.network.architecture}, {recipe.input.size} x {recipe.input.size} gray",
        f"- Start: {recipe.network.start or 'random initialization'}",
        f"- Data: {spec.training_data}",
        f"- Source: {spec.source}",
        f"- License: {spec.license}",
        "",
        "| rows | count |",
        "| --- | --- |",
        *used,
        "",
        "Training prior: "
        + ", ".join(f"{label.value} {share:.3f}" for label, share in shares)
        + f". Temperature {spec.temperature:.3f}.",
        "",
        "## Measured on the valid split",
        "",
        "Chosen on this split, so slightly flattering. One view of each face, no averaging.",
        "",
        "| figure | value |",
        "| --- | --- |",
        *figures,
        "",
        "| expression | faces | recall, natural prior | recall, uniform prior |",
        "| --- | --- | --- | --- |",
        *classes,
        "",
        "| file | MB | accuracy |",
        "| --- | --- | --- |",
        *(f"| {name} | {size:.2f} | {accuracy:.4f} |" for name, size, accuracy in files),
        "",
    ]
    return "\n".join(lines)


def _share(value: float) -> str:
    """A recall; a dash where the valid split has no such face."""
    return "–" if math.isnan(value) else f"{value:.3f}"
