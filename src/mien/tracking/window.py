"""Sums over the last stretch of time, in memory that does not grow."""

from collections import deque


class Window:
    """Running sums over the last `length_s`, kept in bins of a sixtieth of it.

    Args:
        length_s: of the window, in seconds of the stream.
        names: of the sums.
    """

    _BINS = 60

    def __init__(self, length_s: float, names: tuple[str, ...]) -> None:
        self._bin_s = length_s / self._BINS
        self._names = names
        self._bins: deque[tuple[int, dict[str, float]]] = deque(maxlen=self._BINS + 1)
        self._totals = dict.fromkeys(names, 0.0)

    def add(self, timestamp_s: float, **amounts: float) -> None:
        """Add amounts at a time, which never goes back by more than a bin."""
        number = int(timestamp_s // self._bin_s)
        if not self._bins or number > self._bins[-1][0]:
            self._drop_before(number - self._BINS)
            self._bins.append((number, dict.fromkeys(self._names, 0.0)))
        for name, amount in amounts.items():
            self._bins[-1][1][name] += amount
            self._totals[name] += amount

    def total(self, name: str) -> float:
        """The sum over the window up to the last time that something was added."""
        return max(0.0, self._totals[name])

    def _drop_before(self, number: int) -> None:
        while self._bins and self._bins[0][0] <= number:
            _, amounts = self._bins.popleft()
            for name, amount in amounts.items():
                self._totals[name] -= amount
