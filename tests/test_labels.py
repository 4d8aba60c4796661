import gc
import pickle
import weakref

import pytest

from mien.errors import DataError
from mien.labels import (
    FER2013_ORDER,
    Expression,
    exact_label,
    labels_of,
    own_labels,
    parse_expression,
)
from mien.types import face_columns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("happiness", Expression.HAPPINESS),
        ("Happy", Expression.HAPPINESS),
        (" ANGRY ", Expression.ANGER),
        ("0_neutral", Expression.NEUTRAL),
        ("03-surprised", Expression.SURPRISE),
        ("contempt", Expression.CONTEMPT),
    ],
)
def test_parses_common_spellings(text: str, expected: Expression) -> None:
    assert parse_expression(text) is expected


@pytest.mark.parametrize("text", ["", "7", "hangry", "unknown"])
def test_rejects_other_words(text: str) -> None:
    with pytest.raises(DataError, match=repr(text)):
        parse_expression(text)


def test_fer2013_numbers() -> None:
    # Kaggle's description of fer2013.csv: 0=Angry, 1=Disgust, 2=Fear, 3=Happy, 4=Sad, 5=Surprise,
    # 6=Neutral.
    words = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert list(FER2013_ORDER) == [parse_expression(word) for word in words]


def test_other_labels_are_one_object_for_each_text() -> None:
    bored = exact_label("bored")
    assert bored is exact_label("bored")
    assert bored is pickle.loads(pickle.dumps(bored))
    assert (bored.value, f"{bored}", bored == "bored") == ("bored", "bored", True)
    assert len(list(Expression)) == 8
    assert exact_label("happiness") is Expression.HAPPINESS
    astronaut = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}"
    assert exact_label(astronaut).value == astronaut
    for text in (
        "",
        " bored",
        "a\nb",
        "x" * 61,
        "\N{ZERO WIDTH JOINER}",
        "\N{RIGHT-TO-LEFT OVERRIDE}a",
    ):
        with pytest.raises(DataError, match="at most 60 printable characters"):
            exact_label(text)


def test_labels_of_requests_do_not_stay_in_memory() -> None:
    label = weakref.ref(exact_label("seen once"))
    gc.collect()
    assert label() is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Happy", "0_neutral"], ["happiness", "neutral"]),
        (["bored", "müde, sehr", "Pain  level"], ["bored", "müde, sehr", "Pain level"]),
        (["calm", "neutral"], ["calm", "neutral"]),
        (["calm", "angry"], ["neutral", "anger"]),
        (["joy", "smile"], ["joy", "smile"]),
        (["Happy", "happy"], ["happiness", "happiness"]),
        (["Bored", "bored", "BORED", "tired"], ["bored", "bored", "bored", "tired"]),
        (["1", "2"], ["1", "2"]),
    ],
)
def test_reads_own_labels(names: list[str], expected: list[str]) -> None:
    assert [own_labels(names)[name].value for name in names] == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["happy", "Uncertain"], "clear, uncertain, .* got 'Uncertain': rename it"),
        (["happy", "not_visible"], "got 'not_visible': rename it"),
        (["not visible", "happy"], "got 'not visible': rename it"),
        (["No-face", "happy"], "got 'No-face': rename it"),
        (["none", "happy"], "got 'none': rename it"),
        (["bored", "raw_bored"], "both make the column p_raw_bored: rename one"),
        (["happy", "raw_happiness"], "'happiness' and 'raw_happiness'"),
    ],
)
def test_rejects_labels_that_results_cannot_tell_apart(names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        own_labels(names)


def test_labels_may_have_names_of_other_columns() -> None:
    names = ["facing", "eyes_closed", "face", "raw_bored", "uncertain expression"]
    labels = list(own_labels(names).values())
    assert [label.value for label in labels] == names
    columns = [f"{start}{label.value}" for start in ("p_", "p_raw_") for label in labels]
    assert [name for name in face_columns(labels) if name in columns] == columns


def test_rejects_unprintable_labels() -> None:
    with pytest.raises(DataError, match="at most 60 printable characters"):
        own_labels(["a\0b"])


def test_a_model_knows_its_labels_and_the_usual_spellings() -> None:
    read = labels_of([Expression.NEUTRAL, exact_label("calm"), exact_label("Bored")])
    found = read(["Calm", "bored", "happy", "glee"])
    assert found == {"Calm": "calm", "bored": "Bored", "happy": "happiness"}
