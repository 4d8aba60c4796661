"""Runs video jobs: claims them from the job table and works on them in threads.

The web process does so itself, or leaves it to processes of their own (``MIEN_JOBS=worker``),
each started by ``python -m mien.web.worker``.
"""

import errno
import logging
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from mien.errors import MienError
from mien.recording import FRAMES_FILE, RunState
from mien.web import webhooks
from mien.web.config import WebConfig
from mien.web.errors import sentence
from mien.web.recordings import page_document
from mien.web.store.database import Database
from mien.web.store.jobs import LEASE, JobStore
from mien.web.store.sessions import SessionStore

log = logging.getLogger("mien.web")
_POLL_S = 1.0
_SWEEP_EVERY_S = 5.0
_RENEW_EVERY_S = 1.0
_SHOW_EVERY_S = 2.0
_STOP_TIMEOUT_S = 5.0

Progress = Callable[[int, float | None], None]
"""Reports the number of frames done and the share of the video, where it is known."""

VideoWork = Callable[[Path, Path, dict[str, Any], Progress], None]
"""Analyzes a video: its path, an empty folder for the results, options, and progress."""


class JobStoppedError(Exception):
    """The job was canceled, deleted or reassigned to another worker."""


class _ShuttingDownError(Exception):
    """This process shuts down; another worker takes over the job."""


class JobRunner:
    """Claims jobs and works on them.

    Args:
        database: holds the jobs.
        config: how long results are kept.
        work: analyzes a video.
        on_end: called with the outcome of each job.
    """

    def __init__(
        self,
        database: Database,
        config: WebConfig,
        work: VideoWork,
        on_end: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._database = database
        self._jobs = JobStore(database)
        self._config = config
        self._hours = config.result_hours
        self._folder = config.ready_data_dir() / "jobs"
        self._work = work
        self._on_end = on_end
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._stop = threading.Event()
        self._workers: list[threading.Thread] = []

    def start(self, *, workers: int) -> None:
        """Start the periodic cleanup, webhooks, and a number of worker threads."""
        threading.Thread(target=self._keep_sweeping, name="mien-sweep", daemon=True).start()
        threading.Thread(target=self._keep_telling, name="mien-webhooks", daemon=True).start()
        for index in range(workers):
            name = f"mien-worker-{index}"
            self._workers.append(
                threading.Thread(target=self._keep_working, name=name, daemon=True)
            )
            self._workers[-1].start()

    def wake(self) -> None:
        """Let a worker of this process look for jobs now; other processes poll every second."""
        self._wake.set()

    def stop(self) -> None:
        """Stop, and release the job in progress, so that another worker can claim it at once."""
        self._stop.set()
        self._wake.set()
        self._ended.set()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def run_next(self) -> bool:
        """Claim the oldest queued job and work on it; returns whether there was one.

        Raises:
            SQLAlchemyError: the database is unreachable. The lease of the job, if any, expires.
        """
        worker = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"[-80:]
        job = None if self._stop.is_set() else self._jobs.claim(worker)
        if job is None:
            return False
        outcome = self._run(job, worker)
        if outcome is None:
            self._jobs.release(job["id"], worker)
        else:
            self._ended.set()
            self._on_end(outcome)
        return True

    def sweep(self) -> None:
        """Queue lost jobs again, delete what has expired and the folders of killed workers."""
        SessionStore(self._database).sweep()
        if self._jobs.sweep():
            self.wake()
        self._remove_abandoned_folders()

    def _remove_abandoned_folders(self) -> None:
        found = list(self._folder.iterdir()) if self._folder.is_dir() else []
        running = self._jobs.running() if found else set()
        for folder in found:
            if folder.name.partition(".")[0] not in running:
                shutil.rmtree(folder, ignore_errors=True)

    def _keep_working(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                found = self.run_next()
            except SQLAlchemyError as error:
                log.warning("database unavailable: %s", error)
                self._stop.wait(_POLL_S)
                continue
            if not found and not self._stop.is_set():
                self._wake.wait(_POLL_S)

    def _keep_sweeping(self) -> None:
        while not self._stop.wait(_SWEEP_EVERY_S):
            try:
                self.sweep()
            except SQLAlchemyError as error:
                log.warning("database unavailable: %s", error)
            except Exception:  # the cleanup must go on
                log.exception("cleanup failed")

    def _keep_telling(self) -> None:
        while not self._stop.is_set():
            self._ended.clear()
            try:
                found = webhooks.deliver_due(self._database, self._config)
            except SQLAlchemyError as error:
                log.warning("database unavailable: %s", error)
                found = False
            except Exception:  # other receivers must be notified
                log.exception("webhook failed")
                found = True
            if not found and not self._stop.is_set():
                self._ended.wait(_SWEEP_EVERY_S)

    def _run(self, job: dict[str, Any], worker: str) -> str | None:
        """Work on a job; returns its outcome, None where it must be released."""
        outcome, message = "failed", None
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # A killed worker's folder is deleted when its job does not run any more.
            with tempfile.TemporaryDirectory(prefix=f"{job['id']}.", dir=self._folder) as folder:
                self._analyze(job, worker, Path(folder))
        except _ShuttingDownError:
            return None
        except JobStoppedError:
            outcome = "cancelled"
        except SQLAlchemyError:
            raise
        except MienError as error:
            # Paths of this machine do not concern the visitor.
            message = sentence(re.sub(rf"\S*/{job['id']}[^/\s]*/", "", str(error)))
        except Exception as error:  # the worker must survive a broken job
            log.exception("job %s failed", job["id"])
            message = "An internal error occurred. It was logged."
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                message = "The disk of the server is full. Try again later."
        else:
            return "done"
        ended = self._jobs.finish(
            job["id"], worker, state=outcome, hours=self._hours, message=message
        )
        return outcome if ended else None

    def _analyze(self, job: dict[str, Any], worker: str, folder: Path) -> None:
        upload = next(iter(self._jobs.files(job["id"], role="upload")), None)
        if upload is None:  # deleted since it was claimed
            raise JobStoppedError
        results = folder / "results"
        results.mkdir()
        video = folder / _safe_name(upload["name"])
        self._jobs.copy_file(upload["id"], video)
        heartbeat = _Heartbeat(self._jobs, job["id"], worker)

        def report(done: int, share: float | None) -> None:
            if self._stop.is_set():
                raise _ShuttingDownError
            heartbeat.report(done, share)

        show = partial(_keep_showing, self._jobs, job["id"], results)
        with _in_background("mien-heartbeat", heartbeat.beat), _in_background("mien-page", show):
            self._work(video, results, job["options"], report)
        page = page_document(results) if (results / FRAMES_FILE).is_file() else None

        state = RunState.read(results)
        self._jobs.finish(
            job["id"],
            worker,
            state="done",
            hours=job["options"].get("hours", self._hours),
            page=page,
            results=sorted(found for found in results.iterdir() if found.is_file()),
            message=_warning(state),
            frames_done=state.frames if state else None,
        )


@contextmanager
def _in_background(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Work in a thread until the end of the block, which sets the event."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _keep_showing(jobs: JobStore, job_id: str, folder: Path, ended: threading.Event) -> None:
    """Show a recording on the job's page while it grows, with a small part of the time."""
    pause_s = _SHOW_EVERY_S
    while not ended.wait(pause_s):
        begun = time.monotonic()
        try:
            if (folder / FRAMES_FILE).is_file():
                jobs.show(job_id, page_document(folder))
        except (MienError, SQLAlchemyError, OSError) as error:
            log.warning("page of job %s: %s", job_id, error)
        pause_s = max(_SHOW_EVERY_S, 20 * (time.monotonic() - begun))


class _Heartbeat:
    """Renews a job's lease, and notices when the job should stop."""

    def __init__(self, jobs: JobStore, job_id: str, worker: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._worker = worker
        self._done = 0
        self._share = 0.0
        self._wanted = True

    def report(self, done: int, share: float | None) -> None:
        """Note the progress; raises JobStoppedError if the result is not wanted any more."""
        self._done, self._share = done, share or 0.0
        if not self._wanted:
            raise JobStoppedError

    def beat(self, ended: threading.Event) -> None:
        """Renew the lease until the event."""
        renewed_at = time.monotonic()
        while self._wanted and not ended.wait(_RENEW_EVERY_S):
            try:
                self._wanted = self._jobs.renew_lease(
                    self._job_id, self._worker, frames_done=self._done, progress=self._share
                )
                renewed_at = time.monotonic()
            except SQLAlchemyError:
                # The database may return; after a whole lease without it the job is not ours.
                self._wanted = time.monotonic() - renewed_at <= LEASE.total_seconds()


def _warning(state: RunState | None) -> str | None:
    """What the visitor should know about a finished job, one warning a line."""
    return "\n".join(map(sentence, state.warnings)) or None if state else None


def _safe_name(name: str) -> str:
    """A visitor's file name without anything that has a meaning to a file system."""
    kept = re.sub(r"[^\w. -]", "_", Path(name).name, flags=re.ASCII).strip(". -")
    return kept[-80:] or "video"
