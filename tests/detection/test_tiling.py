"""Tiles of large images, and FaceSearch."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageFilter

from mien import geometry, imaging
from mien.detection import BlazeFace, FaceSearch, build_detector
from mien.detection.base import drop_repeated
from mien.detection.blazeface import _merge_weighted
from mien.detection.views import View, _tile_sides, _tile_starts, is_flat, tiles
from mien.landmarks import schemes
from mien.media.images import read_image
from mien.runtime import catalog
from mien.types import Box, Detection, Image, Landmarks

SIDES = st.integers(1, 12_000)


class WhiteSquares:
    """Finds white squares of 8 to 80 pixels in a picture shrunk to 160 by 160, as a detector with
    a small fixed input does."""

    name = "white-squares"

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        self.looks += 1
        framed, transform = imaging.letterbox(image, (160, 160))
        white = framed[:, :, 0] > 127
        rows, columns = np.nonzero(white.any(axis=1))[0], np.nonzero(white.any(axis=0))[0]
        if not rows.size:
            return []
        corners = [(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)]
        side = max(np.diff(corners, axis=0).ravel())
        if not 8 <= side <= 80:
            return []
        low, high = geometry.apply_transform(geometry.invert(transform), corners)
        middle = Landmarks(np.array([(low + high) / 2], np.float32), "five")
        return [Detection(Box(*low.tolist(), *high.tolist()), 0.6, middle)]


def _picture(width: int, height: int, square: tuple[int, int, int]) -> Image:
    x, y, side = square
    image = np.zeros((height, width, 3), np.uint8)
    image[y : y + side, x : x + side] = 255
    return image


@settings(deadline=None)
@given(SIDES, SIDES)
def test_tiles_cover_the_image_overlap_and_are_limited(width: int, height: int) -> None:
    for side in _tile_sides(width, height):
        for length in (width, height):
            starts = _tile_starts(length, side)
            assert starts[0] == 0
            assert starts[-1] + side >= length
            assert all(later - earlier <= 0.75 * side + 1 for earlier, later in pairwise(starts))
    smallest = _tile_sides(width, height)[-1:]
    assert all(
        len(_tile_starts(width, side)) * len(_tile_starts(height, side)) <= 40 for side in smallest
    )


def test_tile_sides_by_image_size() -> None:
    assert _tile_sides(640, 360) == []
    assert _tile_sides(768, 768) == []
    assert _tile_sides(1920, 1080) == [512]
    assert len(tiles(1920, 1080)) == 15
    # A panorama needs a level between, or faces between the two would be cut in every tile.
    assert _tile_sides(5_000, 700) == [1000, 512]


@pytest.mark.parametrize("at", [(20, 30), (505, 300), (1880, 1050), (980, 600)])
def test_finds_small_faces_anywhere_in_a_large_image(at: tuple[int, int]) -> None:
    image = _picture(1920, 1080, (*at, 30))
    detector = WhiteSquares()
    assert FaceSearch(detector, tiled=False).detect(image) == []
    (found,) = FaceSearch(detector, tiled=True).detect(image)
    expected = [at[0], at[1], at[0] + 30, at[1] + 30]
    assert found.box.to_array() == pytest.approx(expected, abs=2.5)
    assert found.landmarks is not None
    assert found.landmarks.points[0] == pytest.approx([at[0] + 15, at[1] + 15], abs=2.5)


def test_finds_a_face_that_fills_the_image() -> None:
    image = _picture(400, 400, (40, 30, 330))
    detector = WhiteSquares()
    assert detector.detect(image) == []
    (found,) = FaceSearch(detector, tiled=False).detect(image)
    assert found.box.to_array() == pytest.approx([40, 30, 370, 360], abs=8)


def test_number_of_detector_runs() -> None:
    for image, tiled, looks in (
        (_picture(640, 360, (100, 100, 120)), True, 1),
        (_picture(640, 360, (0, 0, 0)), True, 2),
        (_picture(1920, 1080, (0, 0, 0)), False, 2),
        (_picture(1920, 1080, (0, 0, 0)), True, 17),
    ):
        detector = WhiteSquares()
        FaceSearch(detector, tiled=tiled).detect(image)
        assert detector.looks == looks


class Near:
    """Detects a face in the center of every image, with the next of the given scores."""

    name = "near"

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        score = self.scores.pop(0)
        width, height = image.shape[1], image.shape[0]
        box = Box(width / 4, height / 4, width * 3 / 4, height * 3 / 4)
        return [Detection(box, score)] if score >= min_score else []


def test_close_up_detector_runs_where_nothing_is_found() -> None:
    nothing = _picture(360, 360, (0, 0, 0))

    def scores_of(near: Near, image: Image) -> list[float]:
        return [
            found.score
            for found in FaceSearch(WhiteSquares(), tiled=False, close_up=near).detect(image)
        ]

    assert scores_of(Near(), _picture(640, 360, (100, 100, 120))) == [0.6]
    assert scores_of(Near(0.7), nothing) == [0.7]
    assert scores_of(Near(0.5, 0.65), nothing) == [0.65]
    assert scores_of(Near(0.5, 0.55), nothing) == []
    assert scores_of(Near(0.1), nothing) == []


def test_finds_faces_of_30_pixels_in_a_large_image(samples: dict[str, object]) -> None:
    face = imaging.resize(read_image(samples["person-a-smiling"]), (72, 72))  # type: ignore[arg-type]
    image = np.full((1080, 1920, 3), 90, np.uint8)
    places = [(100, 100), (700, 520), (1500, 900), (1840, 20)]
    for x, y in places:
        image[y : y + 72, x : x + 72] = face
    detector = BlazeFace(catalog.find("blazeface"))
    assert FaceSearch(detector, tiled=False).detect(image) == []
    found = FaceSearch(detector, tiled=True).detect(image)
    assert len(found) == 4
    assert all(26 <= detection.box.width <= 40 for detection in found)
    centers = sorted(detection.box.center for detection in found)
    assert np.array(centers) == pytest.approx(np.array(places) + 38, abs=8)


def test_drops_repeated_and_contained_boxes() -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 9, 10), (2, 2, 6, 6), (30, 0, 40, 10), (38, 0, 60, 22)]
    scores = [0.7, 0.9, 0.95, 0.5, 0.6]
    detections = [Detection(Box(*box), score) for box, score in zip(boxes, scores, strict=True)]
    assert drop_repeated(detections) == [2, 4, 3]
    assert drop_repeated([]) == []


def test_an_eye_does_not_drop_the_face_around_it_before_both_are_verified() -> None:
    face, eye = Detection(Box(50, 60, 300, 310), 0.41), Detection(Box(60, 100, 150, 190), 0.52)
    assert drop_repeated([face, eye]) == [1]
    assert drop_repeated([face, eye], sure_score=0.75) == [1, 0]
    sure = replace(eye, score=0.8)
    assert drop_repeated([face, sure], sure_score=0.75) == [1]
    assert drop_repeated([replace(face, score=0.6), eye], sure_score=0.75) == [0]


def test_merging_weights_by_score() -> None:
    rows = [[0, 0, 10, 10, 5], [2, 0, 12, 10, 9], [50, 50, 60, 60, 1]]
    merged, scores = _merge_weighted(rows, [0.25, 0.75, 0.5], 0.3)
    assert merged == pytest.approx(np.array([[1.5, 0, 11.5, 10, 8], [50, 50, 60, 60, 1]]))
    assert scores == pytest.approx([0.75, 0.5])


@pytest.fixture(scope="module")
def still_search() -> FaceSearch:
    detector = build_detector(tiles="auto")
    assert isinstance(detector, FaceSearch)
    return detector


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_still_shows_faces_cut_by_the_border_beside_whole_ones(
    still_search: FaceSearch, samples: dict[str, object], side: str
) -> None:
    first = imaging.resize(read_image(samples["person-b-smiling"]), (400, 400))  # type: ignore[arg-type]
    other = imaging.resize(read_image(samples["person-a-neutral"]), (400, 400))  # type: ignore[arg-type]
    (whole,) = still_search.search_still(first).faces
    box, cut = whole.box, 0.35 * whole.box.width
    image = {
        "left": lambda: np.hstack([first[:, round(box.x_min + cut) :], other]),
        "right": lambda: np.hstack([other, first[:, : round(box.x_max - cut)]]),
        "top": lambda: np.vstack([first[round(box.y_min + cut) :], other]),
        "bottom": lambda: np.vstack([other, first[: round(box.y_max - cut)]]),
    }[side]()
    assert len(still_search.search_still(np.ascontiguousarray(image)).faces) == 2


def test_a_still_shows_each_of_many_faces_side_by_side(
    still_search: FaceSearch, samples: dict[str, Path]
) -> None:
    side, portraits = 120, []
    for name in sorted(name for name in samples if name.startswith("person")):
        with PillowImage.open(samples[name]) as image:
            (face,) = still_search.search_still(np.asarray(image.convert("RGB"))).faces
            half = 0.75 * max(face.box.width, face.box.height)
            x, y = face.box.center
            part = image.crop((int(x - half), int(y - half), int(x + half), int(y + half)))
            portraits.append(part.resize((side, side)).filter(ImageFilter.GaussianBlur(4)))
    wall = PillowImage.new("RGB", (6 * side, 4 * side))
    for i in range(24):
        wall.paste(portraits[i % len(portraits)], (i % 6 * side, i // 6 * side))
    faces = still_search.search_still(np.asarray(wall)).faces
    assert len({tuple(int(at // side) for at in face.box.center) for face in faces}) == 24
    assert len(faces) == 24


@pytest.mark.parametrize("angle_deg", [90, 135, 180, 225, 270])
def test_a_still_shows_turned_faces_with_their_eye_line(
    still_search: FaceSearch, samples: dict[str, object], angle_deg: int
) -> None:
    image = imaging.resize(read_image(samples["person-a-smiling"]), (400, 400))  # type: ignore[arg-type]
    transform = geometry.similarity(1.0, angle_deg, center=(200, 200))
    (found,) = still_search.search_still(imaging.warp(image, transform, (400, 400))).faces
    assert found.landmarks is not None
    difference = schemes.eye_line_angle_deg(found.landmarks) - angle_deg
    assert abs((difference + 180) % 360 - 180) < 35


@pytest.mark.parametrize("angle_deg", [150, 180, 210])
def test_a_turned_face_is_found_beside_upright_ones(
    still_search: FaceSearch, samples: dict[str, object], angle_deg: int
) -> None:
    first, second, third = (
        imaging.resize(read_image(samples[f"person-{person}-neutral"]), (260, 260))  # type: ignore[arg-type]
        for person in "abc"
    )
    transform = geometry.similarity(1.0, angle_deg, center=(130, 130))
    turned = imaging.warp(second, transform, (260, 260))
    image = np.full((500, 1000, 3), 110, np.uint8)
    for x, part in ((30, first), (370, turned), (700, third)):
        image[120:380, x : x + 260] = part
    assert len(still_search.search_still(image).faces) == 3


def test_a_still_has_tiles_for_small_faces_at_any_size(
    still_search: FaceSearch, samples: dict[str, object]
) -> None:
    face = imaging.resize(read_image(samples["person-a-smiling"]), (72, 72))  # type: ignore[arg-type]
    image = np.full((7000, 7000, 3), 128, np.uint8)
    places = [(20, 30), (3490, 3480), (6900, 6900)]
    for x, y in places:
        image[y : y + 72, x : x + 72] = face
    centers = sorted(found.box.center for found in still_search.search_still(image).faces)
    assert np.array(centers) == pytest.approx(np.array(places) + 38, abs=8)
    assert len(still_search.detect(image)) < 3


def test_plain_colors_are_flat() -> None:
    plain = np.full((64, 64, 3), (200, 150, 120), np.uint8)
    view = View(0, 0, 64, 64)
    assert is_flat(plain, view)
    plain[32, 32] = (120, 150, 120)
    assert not is_flat(plain, view)
