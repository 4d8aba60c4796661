"""An analysis of one file on a cluster, as if it ran in the calling process."""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mien.cluster.engine import Resources, connected, require_ray
from mien.errors import MienError, MissingExtraError, SettingError
from mien.recording import FRAMES_FILE

log = logging.getLogger("mien.cluster")
_POLL_S = 0.5
_RETRY_S = 2.0
_ATTEMPTS = 3
_OUTAGE_S = 60.0

Report = Callable[[int, float | None], None]
Work = Callable[[Path, Path, dict[str, Any], Report], None]
"""Analyzes a file: its path, an empty folder for the results, options, and progress: the number of
frames done and the share of the file, where it is known."""


class RemoteWork:
    """Runs a :data:`Work` on a cluster; may be called by several threads.

    The process of this object is no part of the cluster, so that it survives the cluster's end.

    Args:
        address: ``"ray://host:10001"``.
        make: makes the work, in the process that does it; can be pickled.

    Raises:
        SettingError: another kind of address.
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, address: str, make: Callable[[], Work]) -> None:
        require_ray()
        if not address.startswith("ray://"):
            raise SettingError(
                "expected the address of a cluster's Ray Client server (MIEN_RAY_ADDRESS), such as "
                f"ray://host:10001, got {address!r}"
            )
        self._resources, self._make = Resources(address), make
        self._lock, self._users, self._connection = threading.Lock(), 0, ExitStack()

    def __call__(self, file: Path, folder: Path, options: dict[str, Any], report: Report) -> None:
        """Analyze a file; its growing recording is in `folder` while the work goes on.

        What `report` raises ends the work and is passed on.

        Raises:
            MienError: as the work does; or no cluster answers for a minute, or three processes
                that did the work died.
        """
        import ray

        lost = (ray.exceptions.RayError, ConnectionError)
        for attempts_left in reversed(range(_ATTEMPTS)):
            with self._connected(report):
                try:
                    self._run(file, folder, options, report)
                except ray.exceptions.RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, MienError) else error) from None
                except lost as error:
                    log.warning("work on the cluster was lost: %s", str(error).split("\n")[0])
                    if not attempts_left:
                        raise MienError(
                            f"the file could not be analyzed: {_ATTEMPTS} processes of the cluster "
                            "ended in it, which it may have exhausted"
                        ) from None
                else:
                    return

    @contextmanager
    def _connected(self, report: Report) -> Iterator[None]:
        """Share one connection, which ends when no thread uses it, also where it was lost."""
        deadline = time.monotonic() + _OUTAGE_S
        while not self._join():
            if time.monotonic() > deadline:
                raise MienError("the cluster that analyzes videos does not answer: try again later")
            report(0, None)
            time.sleep(_RETRY_S)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._connection.close()

    def _join(self) -> bool:
        with self._lock:
            try:
                if not self._users:
                    self._connection.enter_context(connected(self._resources))
            except SettingError as error:
                log.warning("%s", error)
                return False
            self._users += 1
            return True

    def _run(self, file: Path, folder: Path, options: dict[str, Any], report: Report) -> None:
        import ray

        recording = folder / FRAMES_FILE
        recording.unlink(missing_ok=True)
        # The second thread answers while the first works.
        actor = ray.remote(_Process).options(num_cpus=1, max_concurrency=2).remote(self._make)
        # Messages name the folder, which is recognized by its name.
        ended = actor.run.remote(file.parent.name, file.name, ray.put(file.read_bytes()), options)
        state, size = actor.state.remote(0), 0
        frames, share = 0, None
        try:
            while ended not in (ready := ray.wait([ended, state], timeout=_POLL_S)[0]):
                if ready:
                    frames, share, more = ray.get(state)
                    with recording.open("ab") as grown:
                        grown.write(more)
                    size += len(more)
                    time.sleep(_POLL_S)
                    state = actor.state.remote(size)
                report(frames, share)
            for name, content in ray.get(ended).items():
                target = folder / name
                target.parent.mkdir(exist_ok=True)
                partial = target.with_name(f"{target.name}.partial")
                partial.write_bytes(content)
                partial.replace(target)
        finally:
            ray.kill(actor)


class _Process:
    """A process of the cluster that does the work once."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self._make = make
        self._done: tuple[int, float | None] = (0, None)
        self._results: Path | None = None

    def run(
        self, prefix: str, name: str, content: bytes, options: dict[str, Any]
    ) -> dict[str, bytes]:
        try:
            with tempfile.TemporaryDirectory(prefix=f"{prefix}.") as folder:
                file, results = Path(folder) / name, Path(folder) / "results"
                file.write_bytes(content)
                results.mkdir()
                self._results = results
                self._make()(file, results, options, self._report)
                self._results = None
                found = [path for path in sorted(results.rglob("*")) if path.is_file()]
                return {str(path.relative_to(results)): path.read_bytes() for path in found}
        except MissingExtraError as error:
            # Its arguments are not its message, so it cannot be sent to another process.
            raise MienError(str(error)) from None

    def state(self, start: int) -> tuple[int, float | None, bytes]:
        """Frames done, share, and what the recording has from a byte on."""
        more = b""
        if self._results is not None and (self._results / FRAMES_FILE).is_file():
            with (self._results / FRAMES_FILE).open("rb") as recording:
                recording.seek(start)
                more = recording.read()
        return (*self._done, more)

    def _report(self, frames: int, share: float | None) -> None:
        self._done = (frames, share)
