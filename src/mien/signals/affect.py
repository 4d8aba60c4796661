"""Valence and arousal, derived from expression probabilities."""

from mien.labels import Expression
from mien.types import Affect, ExpressionScores

_METHOD = "derived from probabilities"
"""The method in every result: nothing is measured beyond the expression probabilities."""

# Mean ratings of pleasure and arousal of the words happy, sad, surprised, fearful, disgusted and
# angry: Russell and Mehrabian, "Evidence for a three-factor theory of emotions", Journal of
# Research in Personality 11, 1977, on the plane of Russell's circumplex (1980). Neutral is the
# origin. The table has no word for contempt.
_COORDINATES: dict[Expression, tuple[float, float]] = {
    Expression.NEUTRAL: (0.0, 0.0),
    Expression.HAPPINESS: (0.81, 0.51),
    Expression.SADNESS: (-0.63, -0.27),
    Expression.SURPRISE: (0.40, 0.67),
    Expression.FEAR: (-0.64, 0.60),
    Expression.DISGUST: (-0.60, 0.35),
    Expression.ANGER: (-0.51, 0.59),
}

_MIN_KNOWN = 0.5


def derive_affect(scores: ExpressionScores) -> Affect | None:
    """Valence and arousal as the probability-weighted mean of the expressions' coordinates.

    The coordinates are ratings of words (Russell and Mehrabian 1977). This summarizes the
    probabilities in two numbers. It is not an independent measurement, and cannot detect arousal
    that the expressions do not show.

    Args:
        scores: probabilities of the expressions.

    Returns:
        None if expressions without coordinates (contempt) have half of the probability or more.
    """
    shares = [
        (float(probability), *_COORDINATES[label])
        for label, probability in zip(scores.labels, scores.probabilities, strict=True)
        if label in _COORDINATES
    ]
    known = sum(share for share, _, _ in shares)
    if known <= _MIN_KNOWN:
        return None
    return Affect(
        valence=sum(share * valence for share, valence, _ in shares) / known,
        arousal=sum(share * arousal for share, _, arousal in shares) / known,
        method=_METHOD,
    )
