"""Training of expression models. Only the modules that use torch import it."""

from typing import Protocol


class Report(Protocol):
    """Where a long task reports its progress."""

    def __call__(self, stage: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Report a step.

        Args:
            stage: what is being done; the same text for all its steps.
            done, total: steps done and their number; 0 and 0 for a message.
            note: the state, in words.
        """
        ...


def no_report(stage: str, done: int = 0, total: int = 0, note: str = "") -> None:
    """A :class:`Report` that is ignored."""
