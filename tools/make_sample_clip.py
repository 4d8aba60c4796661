"""Make the sample clip of the live page: two people who smile alternately.

The two photographs of each person are morphed by their landmarks, so that the
mouth moves instead of fading. Needs ``mien[video]`` and SciPy::

    python tools/make_sample_clip.py src/mien/web/static/sample.mp4
"""

import sys
from fractions import Fraction

import av
import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator

import mien
from mien.media.images import read_image
from mien.samples import sample_paths

FPS = 24
SECONDS = 16
SIZE_WH = (480, 540)
# Start and end of the smiles of each person in seconds.
SMILES = {"person-a": ((2.0, 5.0), (10.0, 13.5)), "person-c": ((4.0, 8.0), (11.0, 14.0))}
RAMP_S = 0.7


class Person:
    """Two photographs of one person and the motion field between them."""

    def __init__(self, name: str) -> None:
        paths = {path.stem: path for path in sample_paths()}
        self.neutral, self.smiling = (
            read_image(paths[f"{name}-{kind}"]) for kind in ("neutral", "smiling")
        )
        points_a, points_b = (
            mien.analyze(image).faces[0].landmarks.points[:, :2]
            for image in (self.neutral, self.smiling)
        )
        height, width = self.neutral.shape[:2]
        edge = np.array([(x, y) for x in (0, width / 2, width) for y in (0, height / 2, height)])
        # The border is fixed; hair and shoulders move a little.
        edge = edge[[0, 1, 2, 3, 5, 6, 7, 8]]
        middle = np.vstack([(points_a + points_b) / 2, edge])
        motion = np.vstack([points_a - points_b, np.zeros_like(edge)])
        self.grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)
        self.field = LinearNDInterpolator(middle, motion)(self.grid)
        self.field = cv2.GaussianBlur(np.nan_to_num(self.field), (0, 0), 3)

    def at(self, smile: float, time_s: float, phase: float) -> np.ndarray:
        """The swaying person with a smile of an intensity in [0, 1]."""
        maps = (self.grid + smile * self.field, self.grid - (1 - smile) * self.field)
        a, b = (
            cv2.remap(image, mapping.astype(np.float32), None, cv2.INTER_LINEAR)
            for image, mapping in zip((self.neutral, self.smiling), maps, strict=True)
        )
        mixed = cv2.addWeighted(a, 1 - smile, b, smile, 0)
        sway = np.sin(2 * np.pi * time_s / 5 + phase)
        matrix = cv2.getRotationMatrix2D((320, 420), 1.6 * sway, 0.98)
        matrix[:, 2] += (SIZE_WH[0] / 2 - 320 + 5 * sway, -52 + 2 * np.cos(time_s + phase))
        return cv2.warpAffine(
            mixed, matrix, SIZE_WH, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


def smile_at(time_s: float, spans: tuple[tuple[float, float], ...]) -> float:
    """Intensity of the smile at a time, with smooth transitions."""
    intensity = 0.0
    for start_s, end_s in spans:
        ramp = np.clip(min(time_s - start_s, end_s - time_s) / RAMP_S, 0, 1)
        intensity = max(intensity, float(ramp * ramp * (3 - 2 * ramp)))
    return intensity


def main() -> None:
    people = {name: Person(name) for name in SMILES}
    with av.open(sys.argv[1], "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "28", "preset": "slow"})
        stream.width, stream.height = len(people) * SIZE_WH[0], SIZE_WH[1]
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for index in range(FPS * SECONDS):
            time_s = index / FPS
            halves = [
                person.at(smile_at(time_s, SMILES[name]), time_s, phase)
                for phase, (name, person) in enumerate(people.items())
            ]
            frame = av.VideoFrame.from_ndarray(np.hstack(halves), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
