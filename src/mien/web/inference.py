"""One inference engine per process, shared by every connection.

A fair gate admits as many analyses at once as the machine can run; the others wait in order of
arrival, and when too many wait, the next one is refused, so that the delay stays bounded. Crops of
analyses that run at about the same time go through the expression model as one batch.
"""

import copy
import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from mien.errors import MienError
from mien.expression import ExpressionClassifier
from mien.imaging import LargeImage
from mien.media.decoding import check_size
from mien.media.images import open_image, size_of
from mien.media.pixels import is_large
from mien.pipeline import FacePipeline
from mien.streaming.expressions import for_streams
from mien.types import ExpressionScores, FrameResult, Image

# Longer waits make larger batches, but leave a core idle, which costs more than they save.
_BATCH_WAIT_S = 0.001
_MAX_BATCH_CROPS = 64
_M_MMAP_THRESHOLD, _LARGE_BLOCK = -3, 4 << 20
# An image of 99 megapixels takes about 5 s of CPU.
_LARGE_WAIT_S = 30.0


class BusyError(Exception):
    """The server has no capacity for a request in reasonable time.

    Args:
        retry_after_ms: milliseconds after which a client should try again.
    """

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"busy: try again in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class _Gate:
    """Admits a limited number at a time, in order of arrival, and refuses if too many wait."""

    def __init__(self, slots: int, *, max_wait_s: float = 1.0) -> None:
        self.slots = slots
        self._max_wait_s = max_wait_s
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._inside = 0
        # Running mean of the time inside; the start value is a conservative guess.
        self._stay_s = 0.05

    @property
    def inside(self) -> int:
        """The number inside."""
        return self._inside

    @property
    def waiting(self) -> int:
        """The number that waits."""
        return len(self._waiting)

    def expected_wait_s(self) -> float:
        """The expected wait of a new arrival in seconds."""
        ahead = self._inside + len(self._waiting) + 1 - self.slots
        return max(0.0, ahead * self._stay_s / self.slots)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Wait for admission, and leave at the end; raises BusyError if too many are waiting."""
        self._enter()
        started = time.perf_counter()
        try:
            yield
        finally:
            self._leave(time.perf_counter() - started)

    def _enter(self) -> None:
        with self._lock:
            if self._inside < self.slots and not self._waiting:
                self._inside += 1
                return
            wait_s = self.expected_wait_s()
            if wait_s > self._max_wait_s:
                raise BusyError(round(1000 * wait_s))
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def _leave(self, stay_s: float) -> None:
        with self._lock:
            self._stay_s += 0.1 * (stay_s - self._stay_s)
            if self._waiting:
                # The slot is handed over, so that a new arrival cannot take it.
                self._waiting.popleft().set()
            else:
                self._inside -= 1


@dataclass(slots=True)
class _Request:
    crops: Sequence[Image]
    done: threading.Event = field(default_factory=threading.Event)
    scores: list[ExpressionScores] | None = None
    error: BaseException | None = None


class _BatchingClassifier:
    """An expression classifier that runs the crops of several callers as one batch.

    The first caller leads: if others are expected it waits a moment for their crops, then runs the
    model for all. A single caller never waits. `expected` returns the number of running analyses,
    the caller's own included.
    """

    def __init__(
        self,
        classifier: ExpressionClassifier,
        *,
        expected: Callable[[], int],
        on_batch: Callable[[int], None] = lambda size: None,
        wait_s: float = _BATCH_WAIT_S,
    ) -> None:
        self.name = classifier.name
        self.spec = classifier.spec
        self.prior = classifier.prior
        self._classifier = classifier
        self._expected = expected
        self._on_batch = on_batch
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._queue: list[_Request] = []
        self._leading = False

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.ExpressionClassifier.classify`."""
        if not crops:
            return []
        request = _Request(crops)
        with self._lock:
            self._queue.append(request)
            leads = not self._leading
            if leads:
                self._leading = True
            else:
                self._arrived.notify_all()
        if leads:
            self._lead()
        request.done.wait()
        if request.error is not None:
            raise request.error
        assert request.scores is not None
        return request.scores

    def _lead(self) -> None:
        deadline = time.perf_counter() + self._wait_s
        with self._lock:
            while len(self._queue) < self._expected():
                left_s = deadline - time.perf_counter()
                if left_s <= 0 or not self._arrived.wait(left_s):
                    break
            batch, self._queue = _fitting(self._queue)
            some_left = self._leading = bool(self._queue)
        self._run(batch)
        if some_left:
            self._lead()

    def _run(self, batch: list[_Request]) -> None:
        crops = [crop for request in batch for crop in request.crops]
        try:
            scores = self._classifier.classify(crops)
            start = 0
            for request in batch:
                request.scores = scores[start : start + len(request.crops)]
                start += len(request.crops)
            self._on_batch(len(crops))
        except Exception as error:  # noqa: BLE001 - handed to each of the callers
            for request in batch:
                request.error = error
        finally:
            for request in batch:
                request.done.set()


def _fitting(queue: list[_Request]) -> tuple[list[_Request], list[_Request]]:
    count = 0
    for index, request in enumerate(queue):
        count += len(request.crops)
        if index and count > _MAX_BATCH_CROPS:
            return queue[:index], queue[index:]
    return queue, []


def _return_freed_memory() -> None:
    """Make the C library of Linux return large blocks when they are freed.

    It keeps blocks of up to 32 MB for the thread that freed them, so one picture for each thread.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


class InferenceEngine:
    """The pipeline behind the gate, with batched expression classification.

    Streams have a pipeline of their own where they have another default expression model.

    Args:
        pipeline: not changed; the engine uses a copy that shares its models.
        slots: analyses at once; by default one more than the cores, so that decoding overlaps
            with the models.
        on_batch: called with the number of crops of each run of the expression model.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        *,
        slots: int | None = None,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.gate = _Gate(slots or (os.cpu_count() or 1) + 1)
        # Bounds memory: all large images but one wait with their files only.
        self.large_gate = _Gate(1, max_wait_s=_LARGE_WAIT_S)
        self.pipeline = self._batching(pipeline, on_batch)
        in_streams = for_streams(pipeline)
        self.stream_pipeline = (
            self.pipeline if in_streams is pipeline else self._batching(in_streams, on_batch)
        )
        _return_freed_memory()
        self._problem: str | None = "the models are not loaded yet"

    def _batching(self, pipeline: FacePipeline, on_batch: Callable[[int], None]) -> FacePipeline:
        copied = copy.copy(pipeline)
        copied.classifier = _BatchingClassifier(
            pipeline.classifier, expected=lambda: self.gate.inside, on_batch=on_batch
        )
        return copied

    @contextmanager
    def analyzed(
        self,
        data: bytes,
        *,
        source: str | None = None,
        min_presence: float | None = None,
        classifier: ExpressionClassifier | None = None,
    ) -> Iterator[tuple[Image | LargeImage, FrameResult]]:
        """Decode and analyze a photograph. Until the end of the context no other large one is.

        Args:
            data: an encoded image.
            source: name of the image in the result.
            min_presence: overrides the server's setting.
            classifier: in place of the server's model.

        Yields:
            The RGB image and its result.

        Raises:
            BusyError: too many are waiting.
            ImageReadError: the bytes are not a readable image.
        """
        pipeline = copy.copy(self.pipeline)
        if classifier is not None:
            pipeline.classifier = classifier
        if min_presence is not None:
            pipeline.settings = pipeline.settings.override(min_presence=min_presence)
        max_megapixels = pipeline.settings.max_megapixels
        size_wh = size_of(data)
        # Before the gates: what is refused waits for nothing.
        if all(size_wh):
            check_size(*size_wh, max_megapixels)
        large = is_large(*size_wh)
        with self.large_gate.admitted() if large else nullcontext(), self.gate.admitted():
            opened = open_image(data, max_megapixels=max_megapixels)
            result = pipeline.analyze_opened(opened, source=source)
            try:
                yield opened.pixels, result
            finally:
                if isinstance(opened.pixels, LargeImage):
                    opened.pixels.close()

    def warm_up(self) -> None:
        """Load the models; a failure is reported by :meth:`problem`."""
        try:
            self.pipeline.warm_up()
            self.stream_pipeline.warm_up()
        except MienError as error:
            self._problem = str(error)
        else:
            self._problem = None

    def problem(self) -> str | None:
        """Why no analysis is possible; None if it is."""
        return self._problem
