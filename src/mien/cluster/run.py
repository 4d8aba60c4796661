"""A run: its plan, its state in the output folder, and its workers."""

import contextlib
import dataclasses
import json
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mien import __version__
from mien.cluster.engine import Pool, Resources, connected, require_ray
from mien.cluster.inputs import find_inputs
from mien.cluster.plan import Plan, make_plan
from mien.cluster.segments import SEGMENT_S
from mien.cluster.storage import Folder, local_path
from mien.cluster.tables import COMMITS
from mien.cluster.worker import WorkSettings
from mien.config import Settings
from mien.errors import MienError, ModelError, SettingError
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.streaming.outputs import is_locked, locked
from mien.types import SCHEMA_VERSION

_RUN_FILE = "run.json"
_SAVE_EVERY_S = 5.0
_SILENT_S = 60.0
"""A run that has not saved its state for so long has ended without saying so."""
_ERRORS = 20
"""Failures that are named in ``run.json``."""
_COUNTS = ("inputs", "images", "videos", "failures", "faces", "frames", "tracks", "events")


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What a run does.

    Attributes:
        annotate, blur_faces, report: see :class:`mien.cluster.worker.WorkSettings`.
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


@dataclass(slots=True)
class Progress:
    """The progress of a run.

    Attributes:
        parts, parts_total: committed, and in the plan.
        resumed: number of inputs that earlier attempts analyzed.
        counts: sums over the commits: ``inputs``, ``images``, ``videos``, ``failures``, and rows.
        errors: of the first failed inputs.
        deaths: how often a worker died.
        dashboard: address of Ray's pages, if they run.
    """

    parts: int = 0
    parts_total: int = 0
    resumed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    errors: list[str] = field(default_factory=list)
    deaths: int = 0
    dashboard: str = ""

    def add(self, commit: dict[str, Any]) -> None:
        self.parts += 1
        for name in _COUNTS:
            self.counts[name] += commit["counts"].get(name, 0)
        self.errors += commit.get("errors", [])[: _ERRORS - len(self.errors)]

    def document(self) -> dict[str, Any]:
        """The progress as in ``run.json``."""
        counts = {("failed" if n == "failures" else n): c for n, c in self.counts.items()}
        return {"parts_done": self.parts, **counts, "errors": self.errors}


def run_batch(
    sources: Sequence[str],
    out: str,
    *,
    settings: Settings | None = None,
    resources: Resources | None = None,
    options: BatchOptions | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_warning: Callable[[str], None] = lambda message: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Analyze images and videos on many processes, and write tables.

    Args:
        sources: see :func:`mien.cluster.inputs.find_inputs`; may be empty to resume a run.
        out: folder or address of the output.
        settings: of the pipeline.
        resources: where the work runs.
        options: what is done.
        on_progress: called after each part.
        on_warning: called with what the user should know at once.
        should_stop: asked twice a second; True ends the run, which can be resumed.

    Returns:
        The document in ``run.json``. Its ``status`` is ``complete`` or ``partial``; ``inputs``,
        ``failed`` and ``faces`` count what is committed.

    Raises:
        SettingError: no inputs, no writable output, or the output of another run.
        InputError: a source cannot be read.
        MienError: the run cannot go on; it can be resumed.
        MissingExtraError: ray or pyarrow is not installed.
    """
    require_ray()
    settings, resources = settings or Settings(), resources or Resources()
    options = options or BatchOptions()
    folder = Folder(out)
    earlier = _read_run(folder)
    facts = {"settings": dataclasses.asdict(settings), **_choices(options)}
    _check_out(folder, earlier, facts, sources, resume=options.resume)
    folder.make()
    with contextlib.ExitStack() as stack:
        if folder.local:
            stack.enter_context(locked(local_path(out)))
        plan = _plan(sources, folder, resources, options, earlier)
        document = {
            "schema_version": SCHEMA_VERSION,
            "mien_version": __version__,
            "status": "running",
            "error": None,
            "host": socket.gethostname(),
            "started": (earlier or {}).get("started") or _now(),
            "sources": (earlier or {}).get("sources") or list(sources),
            "plan": plan.digest,
            "inputs_planned": plan.inputs,
            "parts": len(plan),
            **facts,
            **_models(settings),
        }
        work = WorkSettings(
            folder.address,
            settings,
            plan.columns,
            annotate=options.annotate,
            blur_faces=options.blur_faces,
            report=options.report,
            fps=options.fps,
        )
        run = _Run(folder, document, earlier, on_progress, on_warning)
        return run.go(plan, work, resources, should_stop)


class _Run:
    """One attempt: the state in ``run.json``, and the sums over the commits."""

    def __init__(
        self,
        folder: Folder,
        document: dict[str, Any],
        earlier: dict[str, Any] | None,
        on_progress: Callable[[Progress], None],
        on_warning: Callable[[str], None],
    ) -> None:
        self._folder, self._document = folder, document
        self._on_progress, self._on_warning = on_progress, on_warning
        self._progress = Progress()
        self._seconds_before = float((earlier or {}).get("seconds") or 0.0)
        self._deaths_before = int((earlier or {}).get("worker_deaths") or 0)
        self._started = self._saved = time.monotonic()

    def go(
        self,
        plan: Plan,
        work: WorkSettings,
        resources: Resources,
        should_stop: Callable[[], bool],
    ) -> dict[str, Any]:
        progress = self._progress
        progress.parts_total = len(plan)
        commits = _read_commits(self._folder)
        for commit in commits.values():
            progress.add(commit)
        progress.resumed = progress.counts["inputs"]
        left = [number for number in range(len(plan)) if number not in commits]
        try:
            self._save("running")
            if left:
                with connected(resources) as found:
                    self._analyze(plan, left, work, found, should_stop)
        except BaseException as error:
            reason = str(error) or type(error).__name__
            with contextlib.suppress(MienError):
                self._save("partial", None if isinstance(error, KeyboardInterrupt) else reason)
            raise
        complete = progress.parts == progress.parts_total
        return self._save("complete" if complete else "partial")

    def _analyze(
        self,
        plan: Plan,
        left: Sequence[int],
        work: WorkSettings,
        resources: Resources,
        should_stop: Callable[[], bool],
    ) -> None:
        import ray

        self._document["workers"] = resources.workers
        with contextlib.suppress(Exception):
            self._progress.dashboard = ray.get_runtime_context().dashboard_url or ""
        self._on_progress(self._progress)
        pool = Pool(resources, work, on_death=self._on_death)

        def asked() -> bool:
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                self._save("running")
            return should_stop()

        first = [number for number in left if number not in plan.joins]
        for numbers in (first, [number for number in left if number in plan.joins]):
            for _, commit in pool.run(plan, numbers, asked):
                self._progress.add(commit)
                for warning in commit["warnings"]:
                    self._on_warning(warning)
                self._on_progress(self._progress)
            if should_stop():
                return

    def _on_death(self, message: str) -> None:
        self._progress.deaths += 1
        self._on_warning(message)

    def _save(self, status: str, error: str | None = None) -> dict[str, Any]:
        """Replace ``run.json``."""
        self._saved = time.monotonic()
        progress, attempt_s = self._progress, self._saved - self._started
        rate = (progress.counts["inputs"] - progress.resumed) / max(attempt_s, 1e-6)
        document = {
            **self._document,
            "status": status,
            "error": error,
            "updated": _now(),
            "seconds": round(self._seconds_before + attempt_s, 3),
            "inputs_per_s": round(rate, 3),
            **progress.document(),
            "worker_deaths": self._deaths_before + progress.deaths,
        }
        self._folder.write(_RUN_FILE, (json.dumps(document, indent=2) + "\n").encode())
        return document


def _read_commits(folder: Folder) -> dict[int, dict[str, Any]]:
    """The commits of the parts that are complete, by number."""
    names = [name for name in folder.names(COMMITS) if name.endswith(".json")]

    def read(name: str) -> dict[str, Any]:
        content = folder.read(f"{COMMITS}/{name}")
        return dict(json.loads(content or b"{}"))

    with ThreadPoolExecutor(8) as threads:
        found = zip(names, threads.map(read, names), strict=True)
        return {int(name[5:-5]): commit for name, commit in found if commit.get("counts")}


def batch_status(out: str) -> dict[str, Any]:
    """The document in ``run.json`` of a run, with what is committed now.

    Its ``status`` is ``interrupted`` where the process of a running one was killed: none holds
    the lock of a local folder, or the state was not saved for a minute.

    Raises:
        SettingError: there is no run.
    """
    folder = Folder(out)
    document = _read_run(folder)
    if document is None:
        raise SettingError(
            f"expected the output of `mien batch`, but {out} has no {_RUN_FILE}: check the path"
        )
    progress = Progress()
    for commit in _read_commits(folder).values():
        progress.add(commit)
    document |= progress.document()
    if document["status"] == "running" and not _is_alive(folder, document):
        document["status"] = "interrupted"
    return document


def _is_alive(folder: Folder, document: dict[str, Any]) -> bool:
    """Whether the process of a run that is not over exists; a clock may be off by a minute."""
    if folder.local:
        if is_locked(local_path(folder.address)):
            return True
        if document.get("host") == socket.gethostname():
            return False
    updated = datetime.fromisoformat(document["updated"])
    return (datetime.now(UTC) - updated).total_seconds() < _SILENT_S


def _read_run(folder: Folder) -> dict[str, Any] | None:
    content = folder.read(_RUN_FILE)
    try:
        document = json.loads(content) if content is not None else None
    except ValueError:
        document = None
    return document if isinstance(document, dict) and "inputs_planned" in document else None


def _check_out(
    folder: Folder,
    earlier: dict[str, Any] | None,
    facts: dict[str, Any],
    sources: Sequence[str],
    *,
    resume: bool,
) -> None:
    """Refuse an output folder that this run would mix with other results."""
    if earlier is None:
        if not sources:
            raise SettingError("expected SOURCE, such as a folder or a manifest, got none")
        if folder.read(_RUN_FILE) is not None or (not resume and not folder.is_empty()):
            raise SettingError(
                f"expected an empty or new folder as --out, but {folder.address} has other files: "
                "use another one"
            )
        return
    if not resume:
        raise SettingError(
            f"expected a folder without earlier results, but {folder.address} has a run that is "
            f"{earlier['status']}: use --resume to continue it, or another --out"
        )
    differing = [name for name, value in facts.items() if earlier.get(name) != value]
    if sources and list(sources) != earlier["sources"]:
        differing.append("sources")
    if differing:
        raise SettingError(
            f"expected the sources and options of the run in {folder.address}, but these differ: "
            f"{', '.join(differing)}; use another --out to start over"
        )


def _choices(options: BatchOptions) -> dict[str, Any]:
    """The options that change results, as in ``run.json``."""
    chosen = dataclasses.asdict(options)
    return {name: chosen[name] for name in ("annotate", "blur_faces", "report", "fps", "segment_s")}


def _plan(
    sources: Sequence[str],
    folder: Folder,
    resources: Resources,
    options: BatchOptions,
    earlier: dict[str, Any] | None,
) -> Plan:
    """The saved plan of the run, or a new one."""
    plan = Plan.read(folder) if earlier is not None else None
    if plan is None:
        exclude = str(local_path(folder.address).absolute()) if folder.local else folder.address
        kept = options.annotate or options.blur_faces or options.report
        plan = make_plan(
            find_inputs(sources or (earlier or {}).get("sources", ()), exclude=exclude),
            workers=resources.local_workers,
            part_size=options.part_size,
            segment_s=0.0 if kept else options.segment_s,
        )
        plan.write(folder)
    if earlier is not None and earlier["plan"] != plan.digest:
        raise SettingError(
            f"expected the inputs of the run in {folder.address}, but its plan changed: use "
            "another --out"
        )
    return plan


def _models(settings: Settings) -> dict[str, Any]:
    """The models behind each step, and the hashes of their files."""
    pipeline = FacePipeline(settings)
    hashes = {}
    for name in pipeline.models.values():
        with contextlib.suppress(ModelError, OSError):
            path = catalog.find(name).path
            hashes[name] = catalog.checksum(path)
    return {"models": pipeline.models, "sha256": hashes}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
