"""The expressions and their spellings."""

from enum import StrEnum

from mien.errors import DataError


class Expression(StrEnum):
    """An apparent facial expression: how a face looks, not what the person feels.

    The eight are Ekman's seven (Ekman and Friesen 1971; contempt, Ekman and Friesen 1986) and
    neutral, as labeled in FER+ (Barsoum et al. 2016).
    """

    NEUTRAL = "neutral"
    HAPPINESS = "happiness"
    SADNESS = "sadness"
    SURPRISE = "surprise"
    FEAR = "fear"
    DISGUST = "disgust"
    ANGER = "anger"
    CONTEMPT = "contempt"

    @classmethod
    def _missing_(cls, value: object) -> "Expression | None":
        return parse_expression(value) if isinstance(value, str) else None


# Labels are nouns; data sets and users also use these words.
_SPELLINGS: dict[str, Expression] = {
    "neutrality": Expression.NEUTRAL,
    "calm": Expression.NEUTRAL,
    "happy": Expression.HAPPINESS,
    "joy": Expression.HAPPINESS,
    "smile": Expression.HAPPINESS,
    "smiling": Expression.HAPPINESS,
    "sad": Expression.SADNESS,
    "surprised": Expression.SURPRISE,
    "suprise": Expression.SURPRISE,
    "fearful": Expression.FEAR,
    "afraid": Expression.FEAR,
    "scared": Expression.FEAR,
    "disgusted": Expression.DISGUST,
    "angry": Expression.ANGER,
    "contemptuous": Expression.CONTEMPT,
}

# Some data sets number their folders and columns: "0_neutral", "03-happy".
_PREFIX_CHARACTERS = "0123456789_- ."


def parse_expression(text: str) -> Expression:
    """Parse an expression in any of its usual spellings.

    Args:
        text: for example ``"happiness"``, ``"Happy"``, ``"3_happy"``.

    Raises:
        DataError: an unknown expression.
    """
    word = text.strip().lower().lstrip(_PREFIX_CHARACTERS)
    if word in _SPELLINGS:
        return _SPELLINGS[word]
    for expression in Expression:
        if word == expression.value:
            return expression
    known = ", ".join(expression.value for expression in Expression)
    raise DataError(
        f"expected an expression ({known}, or a usual spelling such as happy or angry), "
        f"got {text!r}"
    )


FER2013_ORDER: tuple[Expression, ...] = (
    Expression.ANGER,
    Expression.DISGUST,
    Expression.FEAR,
    Expression.HAPPINESS,
    Expression.SADNESS,
    Expression.SURPRISE,
    Expression.NEUTRAL,
)
"""FER2013's label numbers, 0 to 6 (Goodfellow et al. 2013, as in Kaggle's fer2013.csv)."""
