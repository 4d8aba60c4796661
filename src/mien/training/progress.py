"""What a training run tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; ``loss`` is the mean over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class Told:
    """Where a run reports to.

    Attributes:
        prepared: gets how many pictures are prepared, and how many there are.
        answered: gets how many faces the teachers answered, and how many there are.
        trained: gets where the training stands.
        stage: gets what is done after that, in words.
    """

    prepared: Callable[[int, int], None]
    answered: Callable[[int, int], None]
    trained: Callable[[Progress], None]
    stage: Callable[[str], None]
