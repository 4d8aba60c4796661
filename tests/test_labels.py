import pytest

from mien.errors import DataError
from mien.labels import FER2013_ORDER, Expression, parse_expression


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
