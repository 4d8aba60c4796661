"""A track's course over time, in memory that does not grow with the stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_BINS = 600
"""A lane of the report is about this many pixels wide; finer bins would not be seen."""

_FIRST_BIN_S = 0.1


@dataclass(slots=True)
class Bin:
    """What a track showed in one stretch of time, as sums over its frames."""

    frames: int = 0
    not_visible: int = 0
    uncertain: int = 0
    probabilities: list[float] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def merge(self, other: "Bin") -> None:
        self.frames += other.frames
        self.not_visible += other.not_visible
        self.uncertain += other.uncertain
        if not self.probabilities:
            self.probabilities = list(other.probabilities)
        elif other.probabilities:
            pairs = zip(self.probabilities, other.probabilities, strict=True)
            self.probabilities = [a + b for a, b in pairs]
        for label, count in other.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count


class BinClock:
    """The width of all bins; it doubles whenever the stream has outgrown them."""

    def __init__(self) -> None:
        self.width_s = _FIRST_BIN_S
        self.end_s = 0.0

    def number(self, timestamp_s: float) -> int:
        """The number of the bin that a time lies in."""
        # A time on a border belongs to the bin that it begins, whatever its last digit.
        return int(timestamp_s / self.width_s + 1e-6)

    def advance(self, timestamp_s: float) -> bool:
        """Take in a frame's time, and tell whether the bins became wider."""
        self.end_s = max(self.end_s, timestamp_s)
        widened = False
        while self.end_s / self.width_s >= MAX_BINS:
            self.width_s *= 2
            widened = True
        return widened


class TrackBins:
    """The bins of one track, by their number since the stream's begin."""

    def __init__(self) -> None:
        self.bins: dict[int, Bin] = {}

    def add(
        self,
        number: int,
        label: str | None,
        probabilities: Sequence[float],
        state: str,
    ) -> None:
        """Add a frame to a bin."""
        found = self.bins.get(number)
        if found is None:
            found = self.bins[number] = Bin()
        found.merge(
            Bin(
                frames=1,
                not_visible=int(state == "not visible"),
                uncertain=int(state == "uncertain"),
                probabilities=list(probabilities),
                labels={label: 1} if label else {},
            )
        )

    def halve(self) -> None:
        """Join each two neighbors, for bins of twice the width."""
        joined: dict[int, Bin] = {}
        for number, found in self.bins.items():
            if number // 2 in joined:
                joined[number // 2].merge(found)
            else:
                joined[number // 2] = found
        self.bins = joined
