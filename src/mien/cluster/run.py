"""A run: its plan, its state in the output folder, and its workers."""

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mien import __version__
from mien.cluster.engine import Pool, Resources, connected, require_ray
from mien.cluster.inputs import Input, find_inputs
from mien.cluster.output import RUN_FILE, Progress, RunFolder, now
from mien.cluster.plan import PLAN_FILE, Plan, make_plan
from mien.cluster.storage import local_path
from mien.cluster.worker import BatchOptions, WorkSettings
from mien.config import Settings
from mien.errors import MienError, ModelError, SettingError, counted
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.streaming.expressions import for_streams
from mien.streaming.outputs import locked
from mien.types import SCHEMA_VERSION

_SAVE_EVERY_S = 5.0


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
    folder = RunFolder(out)
    facts = {
        "schema_version": SCHEMA_VERSION,
        "settings": dataclasses.asdict(settings),
        **_choices(options),
        **_models(settings),
    }
    _check_out(folder, facts, sources, resume=options.resume)
    is_new = folder.local and not local_path(out).exists()
    folder.make()
    with contextlib.ExitStack() as stack:
        if is_new:  # a run without a plan leaves nothing
            stack.callback(_remove_empty, local_path(out))
        if folder.local:
            stack.enter_context(locked(local_path(out)))
        # Another run may have ended before the lock was held.
        earlier = _check_out(folder, facts, sources, resume=options.resume)
        sources = list(sources or (earlier or {}).get("sources", ()))
        if options.resume:
            folder.delete_partial()
        _warn_of_version(earlier, on_warning)
        plan = Plan.read(folder) if earlier is not None else None
        if plan is None:
            plan = _new_plan(sources, folder, resources, options, on_warning)
        _check_plan(plan, folder, earlier)
        document = _document(sources, plan, earlier) | facts
        # Workers have folders of their own in which a relative path would mean another one.
        work = WorkSettings(folder.absolute, settings, plan.columns, options)
        run = _Run(folder, document, earlier, on_progress, on_warning)
        return run.go(plan, work, resources, should_stop)


def _new_plan(
    sources: Sequence[str],
    folder: RunFolder,
    resources: Resources,
    options: BatchOptions,
    on_warning: Callable[[str], None],
) -> Plan:
    plan = make_plan(
        _inputs(sources, folder, on_warning),
        workers=resources.local_workers,
        part_size=options.part_size,
        segment_s=0.0 if options.keeps_recordings else options.segment_s,
        on_warning=on_warning,
    )
    plan.write(folder)
    return plan


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _warn_of_version(earlier: dict[str, Any] | None, on_warning: Callable[[str], None]) -> None:
    if earlier and earlier.get("mien_version") != __version__:
        on_warning(
            f"mien {earlier.get('mien_version')} began this run, and {__version__} continues it: "
            "their results may differ"
        )


def _document(sources: Sequence[str], plan: Plan, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """What ``run.json`` says of an attempt when it starts."""
    return {
        "mien_version": __version__,
        "status": "running",
        "error": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "attempt": secrets.token_hex(8),
        "started": (earlier or {}).get("started") or now(),
        "sources": sources,
        "plan": plan.digest,
        "inputs_planned": plan.inputs,
        "parts": len(plan),
    }


class _Run:
    """One attempt: the state in ``run.json``, and the sums over the commits."""

    def __init__(
        self,
        folder: RunFolder,
        document: dict[str, Any],
        earlier: dict[str, Any] | None,
        on_progress: Callable[[Progress], None],
        on_warning: Callable[[str], None],
    ) -> None:
        self._folder, self._document = folder, document
        self._on_progress, self._on_warning = on_progress, on_warning
        self._progress = Progress()
        self._known = (earlier or {}).get("attempt")
        self._seconds_before = float((earlier or {}).get("seconds") or 0.0)
        self._deaths_before = int((earlier or {}).get("worker_deaths") or 0)
        self._started = self._saved = time.monotonic()

    def go(
        self, plan: Plan, work: WorkSettings, resources: Resources, should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        progress = self._progress
        progress.parts_total = len(plan)
        left = set(range(len(plan)))
        for number, commit in self._folder.commits():
            left.discard(number)
            progress.add(commit)
        progress.resumed = progress.counts["inputs"]
        try:
            self._save("running")
            if left:
                with connected(resources) as found:
                    self._analyze(plan, sorted(left), work, found, should_stop)
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
        pool = Pool(resources, work, on_death=self._on_death, on_warning=self._on_warning)

        def asked() -> bool:
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                self._save("running")
            return should_stop()

        first = [number for number in left if number not in plan.joins]
        for numbers in (first, [number for number in left if number in plan.joins]):
            for part, commit in pool.run(plan, numbers, asked):
                self._progress.add(commit, part.name)
                for warning in commit["warnings"]:
                    self._on_warning(warning)
                self._on_progress(self._progress)
            if should_stop():
                return

    def _on_death(self, message: str) -> None:
        self._progress.deaths += 1
        self._on_warning(message)

    def _save(self, status: str, error: str | None = None) -> dict[str, Any]:
        """Replace ``run.json``, unless another run has done so since the last time."""
        found = self._folder.state()
        if found and found.get("attempt") != self._known:
            raise MienError(
                f"expected no other run in {self._folder.address}, but one on {found.get('host')} "
                "started there: wait for it, or use another --out"
            )
        self._known = self._document["attempt"]
        self._saved = time.monotonic()
        progress, attempt_s = self._progress, self._saved - self._started
        rate = (progress.counts["inputs"] - progress.resumed) / max(attempt_s, 1e-6)
        document = {
            **self._document,
            "status": status,
            "error": error,
            "updated": now(),
            "seconds": round(self._seconds_before + attempt_s, 3),
            "inputs_per_s": round(rate, 3),
            **progress.document(),
            "worker_deaths": self._deaths_before + progress.deaths,
        }
        self._folder.write(RUN_FILE, (json.dumps(document, indent=2) + "\n").encode())
        return document


def _check_out(
    folder: RunFolder, facts: dict[str, Any], sources: Sequence[str], *, resume: bool
) -> dict[str, Any] | None:
    """Refuse an output folder that this run would mix with other results; return its ``run.json``.

    A run that was killed while it searched its inputs has left nothing or its plan.
    """
    if not folder.address.strip():
        raise SettingError(f"expected a folder as --out, got {folder.address!r}")
    if folder.local and local_path(folder.address).is_file():
        raise SettingError(f"expected a folder as --out, got the file {folder.address}")
    earlier = folder.state()
    if earlier is None:
        if not sources and resume:
            raise SettingError(
                f"expected the output of `mien batch` to continue, but {folder.address} has no "
                f"{RUN_FILE}: check --out, or name the SOURCE of a new run"
            )
        if not sources:
            raise SettingError("expected SOURCE, such as a folder or a manifest, got none")
        if not folder.is_empty(PLAN_FILE if resume else ""):
            raise SettingError(
                f"expected an empty or new folder as --out, but {folder.address} has other files: "
                "use another one"
            )
        return None
    if not folder.local and earlier["status"] == "running" and folder.is_alive(earlier):
        raise SettingError(
            f"expected no other run in {folder.address}, but process {earlier.get('pid')} of "
            f"{earlier.get('host')} saved its state at {earlier['updated']}: wait for it, or, if "
            "it was killed, try again in a minute"
        )
    if not resume:
        raise SettingError(
            f"expected a folder without earlier results, but {folder.address} has a run that is "
            f"{earlier['status']}: use --resume to continue it, or another --out"
        )
    differing = [name for name, value in facts.items() if earlier.get(name) != value]
    if "schema_version" in differing:
        raise SettingError(
            f"expected tables of version {SCHEMA_VERSION} in {folder.address}, got version "
            f"{earlier.get('schema_version')} of mien {earlier.get('mien_version')}: use another "
            "--out, or that version"
        )
    if "settings" in differing:
        before, mine = earlier.get("settings") or {}, facts["settings"]
        differing += [f"settings.{name}" for name in mine if before.get(name) != mine[name]]
        differing.remove("settings")
    if sources and list(sources) != earlier["sources"]:
        differing.append("sources")
    if differing:
        raise SettingError(
            f"expected the run in {folder.address} with its sources, options and models, but these "
            "differ: "
            f"{', '.join(differing)}; use another --out to start over"
        )
    return earlier


def _choices(options: BatchOptions) -> dict[str, Any]:
    """The options that change results, as in ``run.json``."""
    chosen = dataclasses.asdict(options)
    return {name: chosen[name] for name in ("annotate", "blur_faces", "report", "fps", "segment_s")}


def _inputs(
    sources: Sequence[str], folder: RunFolder, on_warning: Callable[[str], None]
) -> Iterator[Input]:
    """The inputs of the sources, and then a warning of those that lose columns."""
    count, example = 0, ""

    def on_again(uri: str) -> None:
        nonlocal count, example
        count, example = count + 1, example or uri

    yield from find_inputs(sources, exclude=folder.absolute, on_again=on_again)
    if count:
        on_warning(
            f"{counted(count, 'row')} of tables name an input that was listed before, such as "
            f"{example}; each is analyzed once, with the columns of its first row"
        )


def _check_plan(plan: Plan, folder: RunFolder, earlier: dict[str, Any] | None) -> None:
    if earlier is not None and earlier["plan"] != plan.digest:
        raise SettingError(
            f"expected the inputs of the run in {folder.address}, but its plan changed: use "
            "another --out"
        )


def _models(settings: Settings) -> dict[str, Any]:
    """The models behind each step, and the hashes of their files."""
    pipeline = FacePipeline(settings)
    hashes = {}
    names = {*pipeline.models.values(), for_streams(pipeline).classifier.name}
    if catalog.DEFAULT_EXPRESSION_MODEL in names:
        names.update(catalog.ENSEMBLE)
    for name in sorted(names):
        with contextlib.suppress(ModelError, OSError):
            path = catalog.find(name).path
            hashes[name] = catalog.checksum(path)
    return {"models": pipeline.models, "sha256": hashes}
