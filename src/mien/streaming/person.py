"""What a stream remembers of one person: smoothed values, and the face at rest."""

from dataclasses import dataclass, field

from mien.streaming.gaze import GazeCheck
from mien.tracking import (
    BlendshapeSmoother,
    ExpressionSmoother,
    LabelSettings,
    LandmarkSmoother,
    NeutralBaseline,
    RestingMovements,
    quality_weight,
)
from mien.types import Face


@dataclass(slots=True)
class Person:
    """The memory of one track.

    Attributes:
        baseline, resting: learn the resting face, where the stream has a baseline.
        chosen_rest: face that the user has chosen as neutral.
        last: face in the last frame that showed the person.
    """

    expressions: ExpressionSmoother
    baseline: NeutralBaseline | None
    resting: RestingMovements | None
    landmarks: LandmarkSmoother = field(default_factory=LandmarkSmoother)
    blendshapes: BlendshapeSmoother = field(default_factory=BlendshapeSmoother)
    gaze: GazeCheck = field(default_factory=GazeCheck)
    chosen_rest: Face | None = None
    last: Face | None = None

    @classmethod
    def new(cls, labels: LabelSettings, uncertain_below: float, *, baseline: bool) -> "Person":
        """One who is seen for the first time."""
        return cls(
            ExpressionSmoother(labels, uncertain_below=uncertain_below),
            NeutralBaseline() if baseline else None,
            RestingMovements() if baseline else None,
        )

    def rest(self, photograph: Face | None) -> Face | None:
        """The face that action units are measured from, if one is known.

        `photograph` is that of the pipeline, if it shows this person.
        """
        learned = None if self.resting is None else self.resting.neutral
        return self.chosen_rest or photograph or learned

    def use_as_neutral(self) -> bool:
        """Choose the last face as the rest; returns whether it can be measured and read."""
        face = self.last
        if face is None or not face.blendshapes or quality_weight(face.quality) < 0.5:
            return False
        self.chosen_rest = face
        return True
