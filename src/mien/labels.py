"""The expressions, their spellings, and the labels of models that know others."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any
from weakref import WeakValueDictionary

from mien.errors import DataError

_LONGEST_LABEL = 60


class Expression(StrEnum):
    """An apparent facial expression: how a face looks, not what the person feels.

    The eight are Ekman's seven (Ekman and Friesen 1971; contempt, Ekman and Friesen 1986) and
    neutral, as labeled in FER+ (Barsoum et al. 2016).

    Models that are adapted to other data may have other labels, such as "bored".
    Such a label is an object of this type, too (:func:`exact_label`), but not among the eight over
    which ``Expression`` iterates.

    Examples:
        >>> import mien
        >>> mien.Expression("happy")
        <Expression.HAPPINESS: 'happiness'>
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

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return exact_label, (self.value,)


_EIGHT = {expression.value: expression for expression in Expression}

# Labels are nouns; data sets and users also use these words.
_SPELLINGS: dict[str, Expression] = {
    **_EIGHT,
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
    expression = _SPELLINGS.get(_word(text))
    if expression is None:
        known = ", ".join(expression.value for expression in Expression)
        raise DataError(
            f"expected an expression ({known}, or a usual spelling such as happy or angry), "
            f"got {text!r}"
        )
    return expression


def _word(text: str) -> str:
    return text.strip().lower().lstrip(_PREFIX_CHARACTERS)


# Weak, because requests may bring any number of them.
_OWN: WeakValueDictionary[str, Expression] = WeakValueDictionary()
# Joiners within words and emoji; they are not "printable".
_JOINERS = str.maketrans("", "", "\u200c\u200d")


def exact_label(text: str) -> Expression:
    """The expression of exactly this name, or else a label of a model's own.

    Equal texts are the same object.

    Raises:
        DataError: the text is empty, is longer than 60 characters, or has some that cannot be
            printed, or spaces at its ends.
    """
    label = _EIGHT.get(text) or _OWN.get(text)
    if label is None:
        shown = text.translate(_JOINERS)
        is_short = shown and len(text) <= _LONGEST_LABEL
        if not is_short or not shown.isprintable() or text != _clean(text):
            raise DataError(
                f"expected a label of at most {_LONGEST_LABEL} printable characters, "
                f"got {text!r:.80}"
            )
        label = str.__new__(Expression, text)
        label._name_ = label._value_ = text
        label = _OWN.setdefault(text, label)
    return label


# What results, tables and pages say where there is no clear expression, instead of a label.
_RESERVED = ("clear", "uncertain", "not visible", "no face", "none")


def check_labels(labels: Iterable[Expression]) -> None:
    """Check that results can have these labels of a model side by side.

    Raises:
        DataError: a label is a word that results use where there is no clear expression, or makes
            the same column as another one.
    """
    known = {label.value for label in labels}
    for name in sorted(known):
        if name.casefold().replace("_", " ").replace("-", " ") in _RESERVED:
            raise DataError(
                f"expected labels other than {', '.join(_RESERVED)}, which results use where there "
                f"is no clear expression, got {name!r}: rename it, for example to "
                f"{name + ' expression'!r}"
            )
        raw = f"raw_{name}"
        if raw in known:
            raise DataError(
                f"expected labels with columns of their own, got {name!r} and {raw!r}, which both "
                f"make the column p_{raw}: rename one, for example to {'unedited ' + name!r}"
            )


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


ReadLabels = Callable[[Iterable[str]], Mapping[str, Expression]]
"""Reads the label names of a data set; names without a meaning are absent from the result."""


def known_labels(names: Iterable[str]) -> dict[str, Expression]:
    """The names that mean one of the eight expressions."""
    return {name: _SPELLINGS[_word(name)] for name in names if _word(name) in _SPELLINGS}


def own_labels(names: Iterable[str]) -> dict[str, Expression]:
    """All names: expressions where their spelling is known, labels of their own elsewhere.

    Where two names mean the same expression, such as "calm" and "neutral", the one that is not its
    name is a label of its own. Names that differ in case only are one label.

    Raises:
        DataError: a name is longer than 60 characters, or has some that cannot be printed, or
            results cannot have these labels; see :func:`check_labels`.
    """
    words = {name: _word(name) or name for name in names if name.strip()}
    known = known_labels(words)
    meant = Counter(known[name] for name in {word: name for name, word in words.items()}.values()
                    if name in known)  # fmt: skip
    found = {}
    for name, word in words.items():
        expression = known.get(name)
        if expression is not None and (meant[expression] == 1 or word == expression.value):
            found[name] = expression
        else:
            found[name] = exact_label(_clean(name if expression is None else word))
    # Small letters come last in this order.
    spelling = {label.value.casefold(): label for label in sorted(found.values())}
    found = {name: spelling[label.value.casefold()] for name, label in found.items()}
    check_labels(found.values())
    return found


def labels_of(labels: Iterable[Expression]) -> ReadLabels:
    """A reader of names for a model: one of its labels, ignoring case, or else an expression."""
    own = {label.value.casefold(): label for label in labels}

    def read(names: Iterable[str]) -> dict[str, Expression]:
        names = list(names)
        exact = {name: own[key] for name in names if (key := _clean(name).casefold()) in own}
        return known_labels(names) | exact

    return read


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
