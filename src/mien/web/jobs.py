"""Video jobs: Huey wakes a worker, the job table says what is to be done and how far it is.

Without ``REDIS_URL`` the queue is a SQLite file in the data folder and the worker a thread of this
process; with it, ``python -m mien.web.worker`` runs workers of their own.
"""

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from huey import RedisHuey, SqliteHuey
from huey.api import Huey
from huey.consumer import Consumer
from sqlalchemy.exc import SQLAlchemyError

from mien.errors import MienError
from mien.web import job_folder
from mien.web.config import WebConfig
from mien.web.errors import sentence
from mien.web.limits import redis_options
from mien.web.store import files, jobs
from mien.web.store.database import Database
from mien.web.store.sessions import sweep_sessions

log = logging.getLogger("mien.web")
_SWEEP_EVERY_S = 5.0
_RENEW_EVERY_S = 1.0
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".mp4": "video/mp4",
    ".html": "text/html",
    ".json": "application/json",
    ".jpg": "image/jpeg",
}

RESULT_TYPES = {*_MEDIA_TYPES.values(), "application/octet-stream"}
"""What the results of a job can be."""

Progress = Callable[[int, float | None], None]
VideoWork = Callable[[Path, Path, dict[str, Any], Progress], None]
"""Analyzes a video: its path, an empty folder for the results, options, and where to report."""


# How long an end waits for the job at hand to be handed back.
_HAND_BACK_S = 5.0


class JobStoppedError(Exception):
    """The job was cancelled, deleted or given to another worker."""


class ShuttingDownError(Exception):
    """This process ends; the job is for another one."""


class JobRunner:
    """Takes jobs and works on them.

    Args:
        database: holds the jobs.
        config: how long results are kept.
        work: analyzes a video.
        on_end: is told how a job ended.
    """

    def __init__(
        self,
        database: Database,
        config: WebConfig,
        work: VideoWork,
        on_end: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._database = database
        self._hours = config.result_hours
        self._work = work
        self._on_end = on_end
        self.huey = _make_queue(config)
        self._task = self.huey.task(name="analyze_video")(self.run)
        self._stop = threading.Event()
        self._working = threading.Lock()

    def wake(self, job_id: str) -> None:
        """Tell a worker of a waiting job. Where the queue is away, the next sweep does it."""
        try:
            self._task(job_id)
        except redis.RedisError as error:
            log.warning("job queue unavailable: %s", error)
        except Exception:  # SQLite's queue has exceptions of its own
            log.warning("job queue unavailable", exc_info=True)

    def run(self, job_id: str) -> None:
        """Work on a job, if it still waits."""
        with self._working:
            if not self._stop.is_set():
                self._run(job_id)

    def _run(self, job_id: str) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"[-80:]
        job = jobs.claim_job(self._database, job_id, worker)
        if job is None:
            return
        outcome = "done"
        try:
            with job_folder.job_folder() as folder:
                self._analyze(job, worker, folder)
        except ShuttingDownError:
            jobs.release_job(self._database, job_id, worker)
            return
        except JobStoppedError:
            outcome = "cancelled"
            self._end(job_id, worker, "cancelled", None)
        except MienError as error:
            outcome = "failed"
            # What lies where on this machine is nobody's business.
            message = re.sub(rf"\S*/{job_folder.PREFIX}[^/\s]*/", "", str(error))
            self._end(job_id, worker, "failed", sentence(message))
        except Exception:  # the worker must outlive a job that breaks
            outcome = "failed"
            log.exception("job %s broke", job_id)
            self._end(job_id, worker, "failed", "Something went wrong here. It was logged.")
        self._on_end(outcome)

    def _analyze(self, job: dict[str, Any], worker: str, folder: Path) -> None:
        upload = files.find_files(self._database, job["id"], role="upload")[0]
        results = folder / "results"
        results.mkdir()
        video = folder / _harmless(upload["name"])
        files.copy_to(self._database, upload["id"], video)
        with _Heartbeat(self._database, job["id"], worker) as heartbeat:

            def report(done: int, share: float | None) -> None:
                if self._stop.is_set():
                    raise ShuttingDownError
                heartbeat.report(done, share)

            self._work(video, results, job["options"], report)

        def store(connection: Any) -> None:
            for path in sorted(results.iterdir()):
                with path.open("rb") as source:
                    files.put_file(
                        connection,
                        source,
                        job_id=job["id"],
                        role="result",
                        name=path.name,
                        media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
                    )

        jobs.finish_job(
            self._database, job["id"], worker, state="done", hours=self._hours, store=store
        )

    def _end(self, job_id: str, worker: str, state: str, message: str | None) -> None:
        jobs.finish_job(
            self._database, job_id, worker, state=state, hours=self._hours, message=message
        )

    def sweep(self) -> None:
        """Take up what was lost, delete what is past its time."""
        job_folder.remove_left_folders()
        sweep_sessions(self._database)
        pending = self.huey.pending_count()
        for job_id in jobs.sweep_jobs(self._database)[pending:]:
            self.wake(job_id)

    def start_sweeping(self) -> None:
        """Sweep every few seconds, from a thread that outlives a database that is away."""

        def sweep_on() -> None:
            while not self._stop.wait(_SWEEP_EVERY_S):
                try:
                    self.sweep()
                except SQLAlchemyError as error:
                    log.warning("sweep put off, database unavailable: %s", type(error).__name__)
                except redis.RedisError as error:
                    log.warning("sweep put off, job queue unavailable: %s", error)
                except Exception:  # SQLite's queue has exceptions of its own
                    log.warning("sweep put off", exc_info=True)

        threading.Thread(target=sweep_on, name="mien-sweep", daemon=True).start()

    def start_worker(self) -> None:
        """Work on jobs in threads of this process."""
        consumer = _ThreadConsumer(self.huey, workers=1, periodic=False, max_delay=1.0)
        consumer.start()

    def stop(self) -> None:
        """End the sweeping, and give the job at hand back, for another to take up at once."""
        self._stop.set()
        if self._working.acquire(timeout=_HAND_BACK_S):
            self._working.release()


class _ThreadConsumer(Consumer):  # type: ignore[misc]
    """Runs beside a web server, to which the process's signals belong."""

    def _set_signal_handlers(self) -> None:
        return


class _Heartbeat:
    """Renews a job's lease while it is worked on, and tells when it shall stop."""

    def __init__(self, database: Database, job_id: str, worker: str) -> None:
        self._database = database
        self._job_id = job_id
        self._worker = worker
        self._done = 0
        self._share = 0.0
        self._wanted = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mien-heartbeat", daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, done: int, share: float | None) -> None:
        """Take the progress.

        Raises:
            JobStoppedError: nobody wants the result any more.
        """
        self._done, self._share = done, share or 0.0
        if not self._wanted:
            raise JobStoppedError

    def _beat(self) -> None:
        renewed_at = time.monotonic()
        while not self._ended.wait(_RENEW_EVERY_S):
            try:
                self._wanted = jobs.renew_lease(
                    self._database,
                    self._job_id,
                    self._worker,
                    frames_done=self._done,
                    progress=self._share,
                )
            except SQLAlchemyError:
                # The database may come back; without it for a whole lease, the job is not ours.
                if time.monotonic() - renewed_at > jobs.LEASE.total_seconds():
                    self._wanted = False
            else:
                renewed_at = time.monotonic()
            if not self._wanted:
                return


def _harmless(name: str) -> str:
    """A visitor's file name, with nothing in it that a file system could take for more."""
    kept = re.sub(r"[^\w. -]", "_", Path(name).name, flags=re.ASCII).strip(". -")
    return kept[-80:] or "video"


def _make_queue(config: WebConfig) -> Huey:
    if config.redis_url:
        pool = redis.ConnectionPool.from_url(config.redis_url, **redis_options(config.redis_url))
        return RedisHuey("mien", connection_pool=pool, read_timeout=1, results=False)
    queue = config.ready_data_dir() / "queue.sqlite"
    return SqliteHuey("mien", filename=str(queue), results=False)
