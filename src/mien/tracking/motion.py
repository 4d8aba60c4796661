"""Where a face moves."""

import math
from dataclasses import dataclass

from mien.types import Box

# Heads rarely keep their velocity for longer than this.
_VELOCITY_DECAY_S = 0.5
# Time constant of the velocity estimate; a longer one lags behind a turning head.
_VELOCITY_TIME_S = 0.1


@dataclass(frozen=True, slots=True)
class Motion:
    """Position, size and velocity of a face.

    The velocity decays exponentially, in time rather than in frames.

    Attributes:
        x, y: center in pixels.
        width, height: in pixels.
        velocity_x, velocity_y: pixels per second.
        timestamp_s: time of the last update.
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

    @property
    def box(self) -> Box:
        half_width, half_height = self.width / 2, self.height / 2
        return Box(
            self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height
        )

    def seen(self, box: Box, timestamp_s: float) -> "Motion":
        """The motion updated with a new box."""
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

    def predict(self, timestamp_s: float, *, keeps_velocity: bool = False) -> tuple[float, float]:
        """Expected center at a time, in pixels."""
        elapsed = max(0.0, timestamp_s - self.timestamp_s)
        reach = _VELOCITY_DECAY_S * (1 - math.exp(-elapsed / _VELOCITY_DECAY_S))
        reach = elapsed if keeps_velocity else reach
        return self.x + self.velocity_x * reach, self.y + self.velocity_y * reach

    def distance(self, box: Box, timestamp_s: float, *, keeps_velocity: bool = False) -> float:
        """Distance of a box from the expected position, in units of the mean face size.

        Includes the change of size: double or half the size counts as 0.7 face sizes.
        """
        x, y = self.predict(timestamp_s, keeps_velocity=keeps_velocity)
        box_x, box_y = box.center
        own, other = math.sqrt(self.width * self.height), math.sqrt(box.width * box.height)
        apart = math.hypot(box_x - x, box_y - y) / ((own + other) / 2)
        return math.hypot(apart, math.log(other / own))
