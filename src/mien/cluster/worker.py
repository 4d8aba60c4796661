"""The analysis of one part, in a worker process: images, videos and tar shards into its tables."""

import contextlib
import gzip
import json
import os
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.cluster import storage
from mien.cluster.attempts import (
    SCRATCH,
    Journal,
    Watch,
    WatchedSelection,
    attempt,
    delete_left_scratch,
)
from mien.cluster.folder import Folder
from mien.cluster.images import FaceBatches, read_ahead
from mien.cluster.inputs import Input
from mien.cluster.output import PartTables
from mien.cluster.plan import Part
from mien.cluster.segments import SEGMENT_S, stitch
from mien.cluster.shards import shard_files
from mien.cluster.storage import StorageError
from mien.config import Settings
from mien.errors import (
    InputError,
    MienError,
    MissingExtraError,
    ModelError,
    ProviderError,
    valid_text,
)
from mien.media.clips import VIDEO_SUFFIXES, Clip
from mien.media.formats import HEAD_BYTES, SUFFIXES, sniff
from mien.media.images import byte_limit, open_image
from mien.pipeline import FacePipeline
from mien.recording import FRAMES_FILE
from mien.streaming.outputs import locked

# Errors of the installation, which every further input would have too.
_FATAL = (StorageError, ModelError, ProviderError, MissingExtraError)
_ASK_S = 30.0
"""How often a download that is waited for is progress."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What a run does.

    Attributes:
        annotate, blur_faces, report: whether the recordings of videos are kept, with the
            annotated video, with blurred faces, and without either.
        fps: of videos, at most this number of frames per second are analyzed; 0: all.
        part_size: number of images that a worker commits at once; None: by the number of inputs.
        segment_s: longer videos are divided among workers into segments of this length, unless
            their recordings are kept; 0: never.
        resume: whether to continue the run in the output folder.
    """

    annotate: bool = False
    blur_faces: bool = False
    report: bool = False
    fps: float = 0.0
    part_size: int | None = None
    segment_s: float = SEGMENT_S
    resume: bool = False

    @property
    def keeps_recordings(self) -> bool:
        """Whether the recordings of videos are part of the output."""
        return self.annotate or self.blur_faces or self.report


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """What workers need to know.

    Attributes:
        out: address of the output folder.
        settings: of the pipeline.
        carried: columns of the manifests with their types.
        options: what is done.
    """

    out: str
    settings: Settings
    carried: dict[str, str]
    options: BatchOptions = BatchOptions()


class Worker:
    """Analyzes parts with one pipeline, which stays loaded.

    Args:
        work: what to do.
        pipeline: by default one with the settings of `work`.
        stall_s: the process ends where an input makes no progress for so long; 0: never.
    """

    def __init__(
        self, work: WorkSettings, pipeline: FacePipeline | None = None, *, stall_s: float = 0.0
    ) -> None:
        self._work = work
        self._pipeline = pipeline or FacePipeline(work.settings)
        self._folder = Folder(work.out)
        self._watch = Watch(stall_s)
        delete_left_scratch()

    def run(self, part: Part, *, careful: bool = False) -> dict[str, Any]:
        """Analyze a part and commit it.

        Args:
            part: its files are replaced.
            careful: whether a process ended in this part before. A journal beside the output then
                says which input is being analyzed, and one that ends the process again is a
                failure.

        Returns:
            The commit; see :meth:`mien.cluster.output.PartTables.commit`.

        Raises:
            MienError: something that is not due to one input.
        """
        try:
            return self._run(part, careful)
        except OSError as error:
            storage.check_room(error)
            raise

    def _run(self, part: Part, careful: bool) -> dict[str, Any]:
        started, cpu_before_s = time.perf_counter(), time.process_time()
        journal = Journal(self._folder, part) if careful else None
        with tempfile.TemporaryDirectory(prefix=SCRATCH) as scratch, locked(Path(scratch)):
            labels = self._pipeline.classifier.spec.labels
            tables = PartTables(Path(scratch), part.name, labels, self._work.carried)
            limit = byte_limit(self._pipeline.settings.max_megapixels)
            self._faces = FaceBatches(self._pipeline)
            for found, content in read_ahead(part.inputs, limit):
                self._watch.progress()
                for member in self._members(found, tables, journal, Path(scratch)):
                    self._try(member, content, tables, journal, Path(scratch))
                    self._add_classified(tables)
            self._add_classified(tables, 0)
            self._watch.stop()
            facts = {
                "seconds": round(time.perf_counter() - started, 3),
                "cpu_s": round(time.process_time() - cpu_before_s, 3),
                "pid": os.getpid(),
            }
            commit = tables.commit(self._folder, facts)
        if journal is not None:
            journal.delete()
        for found in part.inputs:
            if found.piece is not None and found.piece.is_join:
                for number in range(found.piece.count):
                    for name in _segment_files(found, number):
                        self._folder.delete(name)
        return commit

    def _try(
        self,
        found: Input,
        content: "Future[bytes] | None",
        tables: PartTables,
        journal: "Journal | None",
        scratch: Path,
    ) -> None:
        """Add an input to the tables, or the reason why it cannot be analyzed."""
        self._watch.progress()
        try:
            with attempt(journal, found):
                if found.piece is not None and found.piece.is_join:
                    self._join(found, tables, scratch)
                elif self._is_video(found):
                    self._add_video(found, tables, scratch)
                else:
                    self._add_image(found, content)
                    if journal:
                        self._add_classified(tables, 0)
        except Exception as error:  # noqa: BLE001 - one input must not stop the others
            self._fail(found, tables, error)

    def _add_classified(self, tables: PartTables, *least: int) -> None:
        """Add the images whose faces are classified together, if they are enough."""
        for found, result in self._faces.take(*least):
            if isinstance(result, Exception):
                self._fail(found, tables, result)
            else:
                tables.add_image(found, result)
                tables.warnings += [f"{found.uri}: {warning}" for warning in result.warnings]

    def _fail(self, found: Input, tables: PartTables, error: Exception) -> None:
        """Add an input with the reason why it cannot be analyzed, unless others cannot, too."""
        if isinstance(error, _FATAL):
            raise error
        message = f"{found.uri}: {type(error).__name__}: {error}"
        if isinstance(error, MienError | OSError):
            storage.check_room(error)
            storage.check_answers(found.address)
            message = _message(found, error)
        if found.piece is None or found.piece.is_join:
            tables.fail(found, message)
        else:
            self._write_segment(found, b"", error=message)

    def _is_video(self, found: Input) -> bool:
        if found.suffix in SUFFIXES:
            return False
        if found.suffix in VIDEO_SUFFIXES:
            return True
        try:
            return sniff(storage.head(found.address, HEAD_BYTES)) is None
        except InputError:
            return False

    def _add_image(self, found: Input, content: "Future[bytes] | None") -> None:
        limit = self._pipeline.settings.max_megapixels
        source: str | bytes = found.address
        if storage.is_local(found.address):
            storage.check_regular(found.address)
        else:
            while content and wait([content], timeout=_ASK_S).not_done:
                self._watch.progress()
            source = content.result() if content else storage.read(found.address, byte_limit(limit))
            self._watch.progress()
        self._faces.add(found, open_image(source, max_megapixels=limit))

    def _add_video(self, found: Input, tables: PartTables, scratch: Path) -> None:
        from mien.media.sources import Selection
        from mien.streaming.outputs import VideoOptions
        from mien.streaming.video import analyze_video

        asked = self._work.options
        options = VideoOptions(
            selection=Selection(max_fps=asked.fps),
            annotate=asked.annotate or asked.blur_faces,
            blur_faces=asked.blur_faces,
            thumbnails=asked.report,
            overwrite=True,
        )
        with (
            tempfile.TemporaryDirectory(dir=scratch) as inner,
            self._local(found, Path(inner)) as path,
        ):
            folder, clip = Path(inner) / "recording", Clip(found.uri, path)
            if found.piece is not None:
                clip, selection = found.piece.clip(found.uri, path, asked.fps, self._watch.progress)
                options = replace(options, selection=selection)
            # A segment may be read from the beginning of the video.
            selection = WatchedSelection(options.selection, self._watch.progress)
            options = replace(options, selection=selection)
            outcome = analyze_video(
                clip,
                folder,
                options,
                pipeline=self._pipeline,
                on_progress=lambda _: self._watch.progress(),
            )
            self._watch.stop()
            if found.piece is not None:
                self._write_segment(found, (folder / FRAMES_FILE).read_bytes(), outcome.warnings)
                return
            if asked.keeps_recordings:
                self._keep(found, folder)
            tables.add_video(found, folder)
        tables.warnings += [f"{found.uri}: {warning}" for warning in outcome.warnings]

    def _write_segment(
        self, found: Input, frames: bytes, warnings: Sequence[str] = (), error: str | None = None
    ) -> None:
        """Keep the recording of a segment for the part that stitches the video."""
        assert found.piece is not None
        data, facts = _segment_files(found, found.piece.number)
        self._folder.write(data, gzip.compress(frames, 1))
        self._folder.write(facts, json.dumps({"warnings": warnings, "error": error}).encode())

    def _join(self, found: Input, tables: PartTables, scratch: Path) -> None:
        """Add a video whose segments are analyzed."""
        assert found.piece is not None
        self._watch.stop()
        segments: list[tuple[float, Path]] = []
        errors: list[str] = []
        with tempfile.TemporaryDirectory(dir=scratch) as inner:
            for number in range(found.piece.count):
                data, facts = (self._folder.read(n) for n in _segment_files(found, number))
                if data is None or facts is None:
                    raise StorageError(
                        f"expected segment {number} of {found.uri} in {self._folder.address}, but "
                        "it is gone: start over with another --out"
                    )
                document, frames = json.loads(facts), gzip.decompress(data)
                errors += [document["error"]] if document["error"] else []
                tables.warnings += [f"{found.uri}: {text}" for text in document["warnings"]]
                if frames:
                    folder = Path(inner) / str(number)
                    folder.mkdir()
                    (folder / FRAMES_FILE).write_bytes(frames)
                    segments.append((number * found.piece.seconds, folder))
            if not segments:
                raise InputError(errors[0])
            tables.warnings += errors
            stitch(segments, Path(inner) / "whole")
            tables.add_video(found, Path(inner) / "whole")

    def _keep(self, found: Input, folder: Path) -> None:
        """Copy the recording of a video to the output."""
        target = f"videos/{_folder_name(found)}"
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                self._folder.upload(file, f"{target}/{path.relative_to(folder).as_posix()}")

    @contextlib.contextmanager
    def _local(self, found: Input, scratch: Path) -> Iterator[Path]:
        """The input as a local file: itself, or a copy that is deleted afterwards."""
        if storage.is_local(found.address):
            storage.check_regular(found.address)
            yield storage.local_path(found.address)
            return
        copy = scratch / f"input{found.suffix}"
        storage.download(found.address, copy, lambda _: self._watch.progress())
        try:
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def _members(
        self, found: Input, tables: PartTables, journal: "Journal | None", scratch: Path
    ) -> Iterator[Input]:
        """The images and videos of a shard, one file at a time; or the input itself."""
        if not found.is_shard:
            yield found
            return
        with (
            tempfile.TemporaryDirectory(dir=scratch) as inner,
            contextlib.closing(self._shard_files(found, tables, Path(inner))) as files,
        ):
            count = 0
            try:
                while True:
                    # A process may also end while the shard itself is read.
                    step = replace(found, uri=f"{found.uri}#{count}")
                    with attempt(journal, step):
                        member = next(files, None)
                    if member is None:
                        break
                    count += 1
                    yield member
                    self._watch.progress()
                if not count:
                    tables.fail(found, f"{found.uri}: expected images or videos in the shard")
            except Exception as error:  # noqa: BLE001 - what decompression raises differs
                storage.check_room(error)
                storage.check_answers(found.address)
                reason = storage.reason_of(error)
                tables.fail(found, f"{found.uri}: the shard cannot be read: {reason}")

    def _shard_files(self, found: Input, tables: PartTables, inner: Path) -> Generator[Input]:
        warn = lambda text: tables.warnings.append(f"{found.uri}{text}")  # noqa: E731
        with self._local(found, inner) as path:
            for name, copy in shard_files(path, inner, warn):
                yield replace(found, uri=f"{found.uri}#{name}", address=str(copy))


def _segment_files(found: Input, number: int) -> tuple[str, str]:
    """The recording of a segment in the output, and what is known of it besides."""
    name = f"segments/{_folder_name(found)}/{number:05d}"
    return f"{name}.jsonl.gz", f"{name}.json"


def _folder_name(found: Input) -> str:
    """The name of a video's subfolder: its file name, and what tells equal names apart."""
    import hashlib

    stem = os.path.splitext(found.uri.rpartition("/")[2])[0][:80]
    return f"{stem}-{hashlib.sha256(found.uri.encode()).hexdigest()[:8]}"


def _message(found: Input, reason: MienError | OSError) -> str:
    """An error with the name that the input has in the results."""
    error = str(reason) if isinstance(reason, MienError) else storage.reason_of(reason)
    error = error.replace("the given bytes", found.uri, 1).replace(found.address, found.uri)
    error = valid_text(error).replace(valid_text(found.address), found.uri)
    return error if found.uri in error else f"{found.uri}: {error}"
