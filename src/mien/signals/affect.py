"""Valence and arousal."""

from mien.labels import Expression
from mien.types import Affect, ExpressionScores

METHOD = "derived from probabilities"
"""Written into every result: nothing was measured beyond the expression's probabilities."""

# Mean pleasure and arousal that people gave to the words happy, sad, surprised, fearful, disgusted
# and angry: Russell and Mehrabian, "Evidence for a three-factor theory of emotions", Journal of
# Research in Personality 11, 1977, whose plane is that of Russell's circumplex (1980). Neutral is
# the origin of that plane. For contempt the table has no such word.
_COORDINATES: dict[Expression, tuple[float, float]] = {
    Expression.NEUTRAL: (0.0, 0.0),
    Expression.HAPPINESS: (0.81, 0.51),
    Expression.SADNESS: (-0.63, -0.27),
    Expression.SURPRISE: (0.40, 0.67),
    Expression.FEAR: (-0.64, 0.60),
    Expression.DISGUST: (-0.60, 0.35),
    Expression.ANGER: (-0.51, 0.59),
}

_LEAST_KNOWN_SHARE = 0.5


def derive_affect(scores: ExpressionScores) -> Affect | None:
    """Valence and arousal as the mean of the expressions' places, weighted by probability.

    The places are those of words on the plane of pleasure and arousal; see the table's source
    above. This repeats what the probabilities say in two numbers. It is no second measurement, and
    it cannot see an arousal that the expressions do not show.

    Args:
        scores: probabilities of the expressions.

    Returns:
        None where expressions without a place (contempt) hold half of the probability or more.
    """
    shares = [
        (float(probability), *_COORDINATES[label])
        for label, probability in zip(scores.labels, scores.probabilities, strict=True)
        if label in _COORDINATES
    ]
    known = sum(share for share, _, _ in shares)
    if known <= _LEAST_KNOWN_SHARE:
        return None
    return Affect(
        valence=sum(share * valence for share, valence, _ in shares) / known,
        arousal=sum(share * arousal for share, _, arousal in shares) / known,
        method=METHOD,
    )
