"""The images of a part: read ahead from addresses, and their faces classified together."""

import copy
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from mien.cluster import storage
from mien.cluster.inputs import Input
from mien.imaging import LargeImage, OpenedImage
from mien.media.formats import SUFFIXES
from mien.pipeline import FacePipeline
from mien.signals import with_expression
from mien.types import ExpressionScores, FrameResult, Image

_READERS = 4
"""Remote images that a worker reads at once; they are in memory until they are analyzed."""
_TOGETHER = 8
"""Faces; more are hardly cheaper."""

_Waiting = tuple[Input, FrameResult, list[Image]]


def read_ahead(
    inputs: Sequence[Input], limit: int
) -> Iterator[tuple[Input, "Future[bytes] | None"]]:
    """The inputs; remote images with their content, which is read while others are analyzed.

    An image may have `limit` bytes.
    """
    ahead: deque[tuple[Input, Future[bytes] | None]] = deque()
    with ThreadPoolExecutor(_READERS) as readers:
        for found in inputs:
            is_read = found.suffix in SUFFIXES and not storage.is_local(found.address)
            read = readers.submit(storage.read, found.address, limit) if is_read else None
            ahead.append((found, read))
            if len(ahead) > _READERS:
                yield ahead.popleft()
        yield from ahead


class FaceBatches:
    """Classifies the faces of several images in one run of the expression model.

    Their crops and measurements wait for it, not their pixels.

    Args:
        pipeline: with the expression model.
    """

    def __init__(self, pipeline: FacePipeline) -> None:
        self._pipeline = pipeline
        self._measuring = copy.copy(pipeline)
        self._measuring.classifier = self._keeper = _Keeper(pipeline)
        self._waiting: list[_Waiting] = []
        self._count = 0

    def add(self, found: Input, opened: OpenedImage) -> None:
        """Analyze an image but for its expressions.

        Raises:
            MienError: as :meth:`mien.FacePipeline.analyze_opened` does.
        """
        # The faces of a large image are found in another order than they are cropped.
        is_large = isinstance(opened.pixels, LargeImage)
        crops: list[Image] = []
        self._keeper.crops = crops
        result = (self._pipeline if is_large else self._measuring).analyze_opened(opened)
        self._waiting.append((found, result, crops))
        self._count += len(crops)

    def take(self, least: int = _TOGETHER) -> Iterator[tuple[Input, FrameResult | Exception]]:
        """The images whose faces wait, in order, each with its result or why it has none.

        Args:
            least: number of faces that must wait.
        """
        if self._count >= least:
            waiting, self._waiting, self._count = self._waiting, [], 0
            yield from self._classified(waiting)

    def _classified(
        self, waiting: list[_Waiting]
    ) -> Iterator[tuple[Input, FrameResult | Exception]]:
        try:
            crops = [crop for _, _, some in waiting for crop in some]
            scores = iter(self._pipeline.classifier.classify(crops))
        except Exception as error:  # noqa: BLE001 - one input must not stop the others
            if len(waiting) == 1:
                yield waiting[0][0], error
                return
            for one in waiting:
                yield from self._classified([one])
            return
        for found, result, some in waiting:
            own = list(islice(scores, len(some)))
            faces = map(with_expression, result.faces, own) if own else result.faces
            yield found, replace(result, faces=tuple(faces))


class _Keeper:
    """An expression model that keeps the crops of an image, and says nothing of them."""

    def __init__(self, pipeline: FacePipeline) -> None:
        model = pipeline.classifier
        self.name, self.spec, self.prior = model.name, model.spec, model.prior
        self.crops: list[Image] = []

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        self.crops += crops
        return [None for _ in crops]  # type: ignore[misc]
