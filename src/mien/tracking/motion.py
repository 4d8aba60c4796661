"""Where a face will be: constant velocity that dies away, in time and not in frames."""

import math
from dataclasses import dataclass

from mien.types import Box

# A head seldom keeps its velocity for longer than this.
_VELOCITY_DECAY_S = 0.5
# How fast the velocity follows what is seen; smoother than that lags behind a turning head.
_VELOCITY_TIME_S = 0.1


@dataclass(frozen=True, slots=True)
class Motion:
    """Place, size and velocity of a face.

    Attributes:
        x, y: center in pixels.
        width, height: in pixels.
        velocity_x, velocity_y: pixels per second.
        timestamp_s: when it was seen.
    """

    x: float
    y: float
    width: float
    height: float
    velocity_x: float
    velocity_y: float
    timestamp_s: float

    @classmethod
    def start(cls, box: Box, timestamp_s: float) -> "Motion":
        x, y = box.center
        return cls(x, y, box.width, box.height, 0.0, 0.0, timestamp_s)

    def seen(self, box: Box, timestamp_s: float) -> "Motion":
        """The motion after the face was seen again."""
        x, y = box.center
        elapsed = timestamp_s - self.timestamp_s
        if elapsed <= 0:
            return Motion(
                x, y, box.width, box.height, self.velocity_x, self.velocity_y, timestamp_s
            )
        weight = 1 - math.exp(-elapsed / _VELOCITY_TIME_S)
        return Motion(
            x,
            y,
            box.width,
            box.height,
            (1 - weight) * self.velocity_x + weight * (x - self.x) / elapsed,
            (1 - weight) * self.velocity_y + weight * (y - self.y) / elapsed,
            timestamp_s,
        )

    def predict(self, timestamp_s: float) -> tuple[float, float]:
        """Where the center is expected at a time, in pixels."""
        elapsed = max(0.0, timestamp_s - self.timestamp_s)
        reach = _VELOCITY_DECAY_S * (1 - math.exp(-elapsed / _VELOCITY_DECAY_S))
        return self.x + self.velocity_x * reach, self.y + self.velocity_y * reach

    def distance(self, box: Box, timestamp_s: float) -> float:
        """How far a box lies from the expected place, in units of the faces' mean size.

        A change of size counts along: twice or half the size is as far off as 0.7 of a face.
        """
        x, y = self.predict(timestamp_s)
        box_x, box_y = box.center
        own, other = math.sqrt(self.width * self.height), math.sqrt(box.width * box.height)
        apart = math.hypot(box_x - x, box_y - y) / ((own + other) / 2)
        return math.hypot(apart, math.log(other / own))
