"""The summary of an evaluation, its files and plots, and comparisons."""

import dataclasses
import json
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError, MissingExtraError
from mien.evaluation import report
from mien.evaluation.predict import MISSED, PREDICTED, WRONG_FACE, Predictions
from mien.evaluation.report import write_plots
from mien.evaluation.summary import compare, compared_markdown, markdown_table, summarize
from mien.labels import Expression

LABELS = (Expression.NEUTRAL, Expression.FEAR)


def predictions(right: int, wrong: int, missed: int = 0, wrong_face: int = 0) -> Predictions:
    """Truth is neutral throughout, then one fear that is right."""
    n = right + wrong + missed + wrong_face
    probabilities = [[0.9, 0.1]] * right + [[0.4, 0.6]] * wrong
    probabilities += [[np.nan] * 2] * (missed + wrong_face) + [[0.2, 0.8]]
    outcome = [PREDICTED] * (right + wrong) + [MISSED] * missed + [WRONG_FACE] * wrong_face
    return Predictions(
        data="faces",
        labels=LABELS,
        truth=np.array([0] * n + [1]),
        probabilities=np.array(probabilities),
        outcome=np.array([*outcome, PREDICTED]),
        names=tuple(f"{i}.jpg" for i in range(n + 1)),
        columns={"half": np.array(["first"] * (n // 2) + ["second"] * (n - n // 2) + ["rest"])},
        facts={"model": "a model", "prior": "natural", "mode": "photographs"},
        left_out={"the picture cannot be read": ("x.jpg",)},
    )


def test_figures_by_hand() -> None:
    summary = summarize(predictions(right=30, wrong=5, missed=3, wrong_face=2))
    assert summary["n"] == 41
    assert summary["accuracy"] == pytest.approx(31 / 41, abs=1e-6)
    # Recall of neutral is 30 of 40, of fear 1 of 1.
    assert summary["balanced_accuracy"] == pytest.approx(0.875)
    # F1 of neutral is 60 / (40 + 30), of fear 2 / (1 + 6).
    assert summary["macro_f1"] == pytest.approx((60 / 70 + 2 / 7) / 2, abs=1e-6)
    assert summary["macro_f1_n30"] == pytest.approx(60 / 70, abs=1e-6)
    assert summary["balanced_accuracy_n30"] == pytest.approx(0.75)
    counts = {k: summary[k] for k in ("wrong", "missed", "wrong_face", "wrong_label")}
    assert counts == {"wrong": 10, "missed": 3, "wrong_face": 2, "wrong_label": 5}
    assert summary["confusion"]["counts"] == [[30, 5, 5], [0, 1, 0]]
    # Squared distances: 0.02 thirty times, 0.72 five times, 0.08 once, over 36 with an answer.
    assert summary["brier"] == pytest.approx((30 * 0.02 + 5 * 0.72 + 0.08) / 36, abs=1e-6)
    assert summary["risk_coverage"]["error"] == pytest.approx(5 / 36, abs=1e-6)
    fear = summary["per_class"]["fear"]
    assert (fear["n"], fear["recall"], fear["missed"]) == (1, 1, 0)
    assert summary["per_class"]["neutral"]["missed"] == 3
    low, high = summary["intervals"]["accuracy"]
    assert low < 31 / 41 < high
    assert summary["left_out"] == {"the picture cannot be read": {"count": 1, "names": ["x.jpg"]}}
    json.dumps(summary, allow_nan=False)


def test_every_picture_missed() -> None:
    summary = summarize(predictions(0, 0, missed=4).take([0, 1, 2, 3]))
    assert summary["accuracy"] == 0
    assert summary["ece"] is None
    assert summary["per_class"]["fear"]["recall"] is None
    assert "missed" in json.dumps(summary)
    assert "| … no face found | 4 |" in report.to_markdown(summary)


def test_small_slices_are_only_counted() -> None:
    table = summarize(predictions(right=38, wrong=6), slices=["half"])["slices"]["half"]
    assert table["values"].keys() == {"first", "second"}
    assert table["too_small"] == 1
    assert table["values"]["second"]["accuracy"] == pytest.approx(16 / 22, abs=1e-6)
    low, high = table["values"]["second"]["accuracy_interval"]
    assert low < 16 / 22 < high


def test_slices_count_people_where_they_are_known() -> None:
    few = predictions(right=40, wrong=0)
    people = np.array([str(i // 2) for i in range(41)])
    few = dataclasses.replace(few, columns={**few.columns, "subject": people})
    table = summarize(few, slices=["half"])["slices"]["half"]
    assert table == {"values": {}, "too_small": 3}


def test_unknown_column_is_named() -> None:
    with pytest.raises(DataError, match="half"):
        summarize(predictions(1, 1), slices=["age"])


def written(path: Path, predictions_: Predictions) -> Path:
    summary = summarize(predictions_)
    summary["rows"] = report._rows_of(predictions_)
    report.write_json(path, summary)
    return path


def test_rows_are_read_again(tmp_path: Path) -> None:
    given = predictions(3, 2, missed=1)
    read = report.read_predictions(written(tmp_path / "a.json", given))
    np.testing.assert_array_equal(read.probabilities, given.probabilities)
    np.testing.assert_array_equal(read.truth, given.truth)
    assert read.names == given.names
    assert read.labels == given.labels
    assert read.outcome.tolist() == given.outcome.tolist()


@pytest.mark.parametrize("content", ["", "[]", '{"labels": []}', None])
def test_rejects_other_files(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"evaluation|evaluate"):
        report.read_predictions(path)


def test_cells_of_markdown_are_shown_as_they_are() -> None:
    table = markdown_table(["label", "n"], [["a|b <i>*c*", "4"]])
    assert table == "| label | n |\n| --- | --- |\n| a\\|b \\<i>\\*c\\* | 4 |"


def test_markdown_contains_the_figures() -> None:
    page = report.to_markdown(summarize(predictions(30, 10), slices=["half"]))
    assert "| accuracy | 75.6 % |" in page
    assert "| neutral | 40 | 75.0 % |" in page
    assert "## By half" in page
    assert "the picture cannot be read: 1 (x.jpg)" in page


def test_plots_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = write_plots(summarize(predictions(30, 10)), tmp_path / "plots")
    assert {file.name for file in files} == {
        "confusion.png",
        "reliability.png",
        "risk-coverage.png",
    }
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_missing_matplotlib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"mien\[eval\]"):
        write_plots(summarize(predictions(3, 1)), tmp_path)


def only_one_right(only_a: int, only_b: int) -> float:
    """The p-value of a comparison of two models, and only one of them is right in these rows."""
    both = predictions(only_a, only_b), predictions(only_b, only_a)
    a, b = (side.take(np.arange(only_a + only_b)) for side in both)
    b = b.take(np.arange(only_a + only_b)[::-1])
    b = dataclasses.replace(b, names=a.names)
    return float(compare(a, b, samples=2)["mcnemar_p"])


def test_mcnemar_by_hand() -> None:
    # Of ten, at most one falls to one side: (1 + 10) / 1024, twice.
    assert only_one_right(1, 9) == pytest.approx(22 / 1024, abs=1e-6)
    assert only_one_right(5, 5) == 1
    same = predictions(5, 5)
    assert compare(same, same, samples=2)["mcnemar_p"] == 1


@pytest.mark.parametrize(("a", "b"), [(3, 17), (40, 61), (300, 260), (700, 650)])
def test_mcnemar_in_whole_numbers(a: int, b: int) -> None:
    n = a + b
    tail = sum(math.comb(n, k) for k in range(min(a, b) + 1))
    expected = float(Fraction(2 * tail, 2**n))
    assert only_one_right(a, b) == pytest.approx(expected, abs=1e-6)


def test_comparison_is_paired() -> None:
    a, b = predictions(right=30, wrong=10), predictions(right=36, wrong=4)
    summary = compare(a, b)
    assert summary["only_b_right"] == 6
    assert summary["only_a_right"] == 0
    assert summary["mcnemar_p"] == pytest.approx(2 / 64, abs=1e-6)
    assert summary["accuracy"]["difference"] == pytest.approx(6 / 41, abs=1e-6)
    low, high = summary["accuracy"]["interval"]
    # No row is lost, so that no resample can lose one, as an unpaired comparison would.
    assert 0 <= low < 6 / 41 < high
    assert compare(b, a)["accuracy"]["interval"] == pytest.approx([-high, -low], abs=0.02)
    assert "+14.6" in compared_markdown(summary)


def test_compares_the_common_rows_in_any_order() -> None:
    a = predictions(right=6, wrong=4)
    b = a.take([10, 3, 1, 0, 9])
    b = dataclasses.replace(
        b, labels=LABELS[::-1], truth=1 - b.truth, probabilities=b.probabilities[:, ::-1]
    )
    summary = compare(a, b)
    assert summary["n"] == 5
    assert summary["accuracy"]["difference"] == 0
    assert summary["mcnemar_p"] == 1


def test_rejects_incomparable_predictions() -> None:
    a = predictions(2, 2)
    with pytest.raises(DataError, match="in common"):
        compare(a, dataclasses.replace(a, names=tuple("vwxyz")))
    with pytest.raises(DataError, match="same labels"):
        compare(a, dataclasses.replace(a, labels=(Expression.NEUTRAL, Expression.ANGER)))
    with pytest.raises(DataError, match="true labels"):
        compare(a, dataclasses.replace(a, truth=1 - a.truth))


def test_names_in_texts_of_markdown_are_shown_as_they_are() -> None:
    found = dataclasses.replace(predictions(30, 10), data="set [a] *b*")
    page = report.to_markdown(summarize(found))
    assert page.splitlines()[0].endswith(r" on set \[a] \*b\*")
