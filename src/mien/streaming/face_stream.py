"""One stream of frames: its tracks, their smoothed labels and their statistics."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy.typing as npt

from mien import imaging
from mien.config import Settings
from mien.errors import InputError
from mien.pipeline import FacePipeline
from mien.signals import derive_affect, measure_face
from mien.streaming.cuts import CutFinder
from mien.streaming.expressions import ExpressionCache, for_streams
from mien.streaming.locator import FaceLocator, SearchSettings, inside, warn_of_region
from mien.streaming.orientation import TurnCheck
from mien.streaming.person import Person
from mien.tracking import (
    Event,
    LabelSettings,
    LandmarkSmoother,
    Observation,
    StreamStatistics,
    Tracker,
    coarse,
    quality_weight,
)
from mien.types import Box, ExpressionState, Face, FrameResult, Image
from mien.types.contract import as_number, check_kind


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the faces of a stream are followed.

    Attributes:
        search: when the detector runs.
        labels: how much labels are smoothed.
        max_gap_s: a face that is hidden for longer gets a new track_id.
        expressions: whether expressions are predicted; if not, their model is never loaded.
        same_look: a face that differs by less than this from its last classified crop is not
            classified again for a quarter of a second; 0 classifies every face.
        baseline: whether each person's resting face counts as neutral; see
            :class:`mien.tracking.NeutralBaseline`. Action units are measured from it, too.
        neutral_track: track_id of the person whom the `neutral` of the pipeline shows; 0 is the
            only one in view. While others are in view, their action units, or those of all for 0,
            are unknown, unless there is a baseline.
        region: x_min, y_min, x_max, y_max; faces whose middle is outside are left out. In pixels,
            or as shares of width and height if no value is above 1. None for the whole picture.

    Examples:
        >>> import mien
        >>> mien.StreamSettings(same_look=0).same_look
        0
    """

    search: SearchSettings = field(default_factory=SearchSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    max_gap_s: float = 2.0
    expressions: bool = True
    same_look: float = 0.05
    baseline: bool = False
    neutral_track: int = 0
    region: tuple[float, float, float, float] | None = None


class FaceStream:
    """Analyzes the frames of one stream, in order, and follows its faces.

    Memory is bounded by the faces in view, not by the stream's length. Use it from one thread at a
    time; the pipeline behind it may be shared by many streams in many threads.

    Args:
        pipeline: by default one with the default settings and the landmarks that show blinks.
            Where it names no expression model, the stream uses `quick`.
        settings: how the stream is followed.
        source: name of the stream in its results.

    Attributes:
        events: what happened in the last frame.

    Example::

        stream = FaceStream()
        for frame, timestamp_s in frames:
            result = stream.update(frame, timestamp_s)

    Examples:
        >>> import mien
        >>> stream = mien.FaceStream()
        >>> image = mien.read_image("photo.jpg")
        >>> results = [stream.update(image, number / 10) for number in range(5)]
        >>> [face.track_id for face in results[-1]]
        [1, 2, 3, 4]
    """

    def __init__(
        self,
        pipeline: FacePipeline | None = None,
        settings: StreamSettings | None = None,
        *,
        source: str | None = None,
    ) -> None:
        if pipeline is None:
            pipeline = FacePipeline(Settings().for_streams())
        check_kind(pipeline, FacePipeline, "pipeline")
        self.pipeline = for_streams(pipeline)
        self.settings = StreamSettings() if settings is None else settings
        check_kind(self.settings, StreamSettings, "settings")
        self.source = source
        self.events: tuple[Event, ...] = ()
        search = self.settings.search
        if not search.max_faces:
            search = replace(search, max_faces=self.pipeline.settings.max_faces)
        self._locator = FaceLocator(self.pipeline, search)
        self._statistics = StreamStatistics()
        self._tracker = Tracker(
            max_gap_s=self.settings.max_gap_s,
            min_presence=self.pipeline.settings.min_presence,
            sampling=self._statistics.sampling,
        )
        self._cuts = CutFinder(self._locator, self._tracker)
        self._turns = TurnCheck(self.pipeline.detector)
        self._cache = ExpressionCache(self.pipeline.classify, same_below=self.settings.same_look)
        self._people: dict[int, Person] = {}
        self._last_s: float | None = None
        self._last_image: Image | None = None
        self._is_resized = False
        self._frame_index = -1
        self._at_rest: set[int] = set()
        self._warned: set[bool] = set()

    def update(
        self, image: npt.ArrayLike, timestamp_s: float, *, frame_index: int | None = None
    ) -> FrameResult:
        """Analyze the next frame.

        Args:
            image: ``(H, W, 3)`` RGB uint8, or what :func:`mien.imaging.as_rgb` accepts.
            timestamp_s: of the frame in the stream's time, larger than that of the frame before.
            frame_index: by default one more than that of the frame before.

        Returns:
            Faces by track_id. Their `expression` is smoothed and holds its label,
            `expression_raw` is of this frame alone, and `track` has the running statistics.

        Raises:
            InputError: not an image, or time is not finite or does not go forward.
            MissingExtraError: lapx is not installed.
        """
        rgb = imaging.as_rgb(image)
        self._check_time(timestamp_s)
        self._last_s = timestamp_s
        self._frame_index = self._frame_index + 1 if frame_index is None else frame_index
        self._statistics.begin_frame(timestamp_s)
        started = time.perf_counter()
        events: list[Event] = []
        grid = coarse(rgb)
        before, self._last_image = self._last_image, rgb
        warnings: tuple[str, ...] = ()
        if before is None:
            warnings = warn_of_region(self.settings.region, rgb)
        elif before.shape != rgb.shape:
            before, warnings = self._resize(before, rgb, timestamp_s)
        if self._cuts.is_cut(rgb, before, grid, timestamp_s):
            events.append(Event("scene_cut", timestamp_s))
            events += self._end([track.track_id for track in self._tracker.end_all()])
        observations = self._locator.locate(rgb, self._tracker.tracks, timestamp_s, grid)
        if self.settings.region is not None:
            observations = inside(observations, self.settings.region, rgb)
        warnings += self._turns.warn(rgb, [seen.detection for seen in observations], timestamp_s)
        located = time.perf_counter()
        owners, ended = self._tracker.update(observations, timestamp_s, rgb)
        events += self._end([track.track_id for track in ended])
        self._cuts.note_faces(rgb, grid, timestamp_s)
        seen = [
            (track.track_id, observation)
            for track, observation in zip(owners, observations, strict=True)
            if track.track_id is not None
        ]
        whose = self._whose_rest(seen)
        faces = self._describe(rgb, seen, timestamp_s, whose)
        described = time.perf_counter()
        faces = [
            self._smooth(replace(face, track_id=track_id), timestamp_s, events)
            for (track_id, _), face in zip(seen, faces, strict=True)
        ]
        self.events = tuple(events)
        return FrameResult(
            faces=tuple(sorted(faces, key=lambda face: face.track_id or 0)),
            image_size_wh=(rgb.shape[1], rgb.shape[0]),
            frame_index=self._frame_index,
            timestamp_s=timestamp_s,
            timings_ms={
                "locate": 1000 * (located - started),
                "describe": 1000 * (described - located),
                "smooth": 1000 * (time.perf_counter() - described),
            },
            models=self.pipeline.models,
            source=self.source,
            warnings=(*warnings, *self._warn(seen, whose)),
        )

    def _check_time(self, timestamp_s: float) -> None:
        as_number(timestamp_s, "timestamp_s")
        if self._last_s is not None and timestamp_s <= self._last_s:
            raise InputError(
                f"expected a frame later than the last one at {self._last_s:g} s, "
                f"got one at {timestamp_s:g} s"
            )

    def _resize(self, before: Image, image: Image, at_s: float) -> tuple[Image, tuple[str, ...]]:
        """Move what is known to frames of another size: the frame before, and a warning once."""
        (old_height, old_width), (height, width) = before.shape[:2], image.shape[:2]
        self._tracker.resize(width / old_width, height / old_height)
        for person in self._people.values():
            person.landmarks = LandmarkSmoother()
        text = (
            f"frames have several sizes: {width}x{height} at {at_s:g} s after "
            f"{old_width}x{old_height}. Boxes and landmarks are in pixels of their own frame"
        )
        known, self._is_resized = self._is_resized, True
        return imaging.resize(before, (width, height)), () if known else (text,)

    def use_as_neutral(self, track_id: int) -> bool:
        """Measure the action units of a person from their last face, from now on.

        It holds until the track ends, and goes before a baseline and the photograph of the
        pipeline.

        Args:
            track_id: of the person, as in the results.

        Returns:
            Whether there is such a track, with blendshapes, and its last face can be read well.
        """
        person = self._people.get(track_id)
        return person is not None and person.use_as_neutral()

    def forget_neutral(self, track_id: int) -> None:
        """Measure the action units of a person as before :meth:`use_as_neutral`.

        Args:
            track_id: of the person; one that is not in view has nothing to forget.
        """
        if track_id in self._people:
            self._people[track_id].chosen_rest = None

    def finish(self) -> tuple[Event, ...]:
        """End every track, at the end of the stream, and return what that ended.

        The stream may go on afterwards, with new tracks.
        """
        self._tracker.end_all()
        self.events = tuple(self._end(self._statistics.track_ids))
        return self.events

    def warnings_at_end(self) -> tuple[str, ...]:
        """What is known at the end of the stream only: no track had the number of the photograph's.

        Returns:
            A warning, or none.
        """
        named, last = self.settings.neutral_track, self._tracker.last_id
        if self.pipeline.neutral is None or not named or 1 <= named <= last:
            return ()
        had = f"the last one is {last}" if last else "there was no track"
        return (
            f"expected the person of the neutral photograph in track {named} (neutral_track, "
            f"--neutral-track), but {had}: no action units are measured from it",
        )

    def resume(self, recorded: Iterable[tuple[FrameResult, Sequence[Event]]]) -> None:
        """Go on where an earlier run stopped, before the first :meth:`update`.

        Statistics and track numbers continue; smoothing starts over.

        Args:
            recorded: the results of the earlier run with their events, in order.
        """
        last_seen: dict[int, tuple[Box, float]] = {}
        for result, events in recorded:
            self._statistics.replay(result, events)
            self._last_s = result.timestamp_s
            for face in result.faces:
                if face.track_id is not None:
                    self._tracker.reserve_ids(face.track_id)
                    last_seen[face.track_id] = face.box, result.timestamp_s or 0.0
                    if face.action_units is not None and len(result.faces) == 1:
                        self._at_rest.add(face.track_id)
            for event in events:
                if event.kind == "track_ended":
                    last_seen.pop(event.track_id or 0, None)
        for track_id, (box, timestamp_s) in last_seen.items():
            self._tracker.restore(track_id, box, timestamp_s)

    def _whose_rest(self, seen: Sequence[tuple[int, Observation]]) -> int | None:
        """The track of the person in the neutral photograph; None where that is not known."""
        if self.pipeline.neutral is None or self.settings.neutral_track:
            return self.settings.neutral_track
        return seen[0][0] if len(seen) == 1 else None

    def _warn(self, seen: Sequence[tuple[int, Observation]], whose: int | None) -> tuple[str, ...]:
        """Once each: the photograph is that of none of several faces, or was that of two tracks."""
        if self.pipeline.neutral is None or self.settings.neutral_track or not seen:
            return ()
        if whose is not None:
            self._at_rest.add(whose)
        together = whose is None
        if together in self._warned or not (together or len(self._at_rest) > 1):
            return ()
        self._warned.add(together)
        name = "Name the track of the person (neutral_track, --neutral-track)"
        if together:
            return (
                f"{len(seen)} faces are in view, and the neutral photograph shows one of them: "
                f"their action units are not measured from it. {name}",
            )
        tracks = " and ".join(map(str, sorted(self._at_rest)))
        return (
            f"the action units of the tracks {tracks}, one after the other alone in view, are "
            f"measured from one neutral photograph. If they are not one person: {name}",
        )

    def _describe(
        self,
        image: Image,
        seen: Sequence[tuple[int, Observation]],
        timestamp_s: float,
        whose: int | None,
    ) -> list[Face]:
        faces = [
            Face(observation.detection, landmarks=observation.landmarks) for _, observation in seen
        ]
        if self.settings.expressions:
            crops = [
                self.pipeline.align(image, face.detection, face.landmarks).image
                for face in faces
                if face.landmarks is not None
            ]
            read = self._cache.classify(crops, [track_id for track_id, _ in seen], timestamp_s)
            faces = [
                replace(face, expression=scores) for face, scores in zip(faces, read, strict=True)
            ]
        described, camera = [], self.pipeline.camera_of(image)
        for (track_id, _), face in zip(seen, faces, strict=True):
            person = self._person(track_id)
            shapes = face.landmarks and self.pipeline.read_blendshapes(face.landmarks)
            smoothed = shapes and person.blendshapes.update(shapes, timestamp_s)
            rest = person.rest(self.pipeline.neutral if track_id == whose else None)
            with_shapes = replace(face, blendshapes=smoothed or None)
            measured = measure_face(image, with_shapes, camera=camera, neutral=rest)
            measured = person.gaze.apply(image, measured, self.pipeline.landmarks, timestamp_s)
            person.last = measured
            # Values from the photograph and others are not to be mixed in one column.
            is_mixed = self.pipeline.neutral is not None and rest is None
            described.append(replace(measured, action_units=None) if is_mixed else measured)
        return described

    def _smooth(self, face: Face, timestamp_s: float, events: list[Event]) -> Face:
        """The face with smoothed values and the statistics of its track."""
        assert face.track_id is not None
        person = self._person(face.track_id)
        raw, weight = face.expression, quality_weight(face.quality)
        state: ExpressionState = "clear"
        if person.resting:
            person.resting.update(face, weight, timestamp_s)
        if raw is not None:
            baseline = person.baseline
            own = baseline.apply(raw, weight, timestamp_s) if baseline else raw
            smoothed, state = person.expressions.update(own, weight, timestamp_s)
            affect = derive_affect(smoothed)
            face = replace(face, expression=smoothed, expression_raw=raw, affect=affect)
        statistics, new_events = self._statistics.update(face, state, timestamp_s)
        events += new_events
        landmarks = face.landmarks and person.landmarks.update(face.landmarks, timestamp_s)
        return replace(face, landmarks=landmarks, track=statistics)

    def _person(self, track_id: int) -> Person:
        if track_id not in self._people:
            settings, pipeline = self.settings, self.pipeline
            # Without expressions, the classifier may have no spec.
            below = pipeline.classifier.spec.uncertain_below if settings.expressions else 0.0
            self._people[track_id] = Person.new(settings.labels, below, baseline=settings.baseline)
        return self._people[track_id]

    def _end(self, track_ids: Sequence[int | None]) -> list[Event]:
        self._cache.forget(track_ids)
        for track_id in track_ids:
            self._people.pop(track_id or 0, None)
        return self._statistics.end(track_ids)
