"""Parts of work on a pool of Ray actors, which are replaced when their process or machine dies."""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from mien.cluster.plan import Part, Plan
from mien.cluster.storage import Folder
from mien.cluster.worker import Journal, Worker, WorkSettings
from mien.errors import MienError, MissingExtraError, SettingError, import_extra

# Ray reports usage to its vendor unless this is set, and warns about a future default.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

_CONNECT_S = 10
_POLL_S = 0.5
# Commits are a few hundred bytes; the smallest object store that Ray accepts is 75 MiB.
_OBJECT_STORE_BYTES = 100 << 20
_DEATHS_IN_A_ROW = 3
_START_ATTEMPTS = 3
_NOT_STARTED = "Initialization failure from server"
_METRICS = {
    "inputs": "inputs, those that failed included",
    "failures": "inputs that failed",
    "faces": "faces",
    "frames": "images, and analyzed frames of videos",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """Where the work runs.

    Attributes:
        address: ``"local"`` starts Ray in this machine and stops it at the end; ``"auto"`` uses
            the cluster of this machine or of ``RAY_ADDRESS`` if there is one, else is like
            ``"local"``; else the address of a cluster, ``"ray://host:10001"`` or ``"host:6379"``.
        workers: number of worker processes; 0: one for each worker's share of the CPUs.
        cpus_per_worker, gpus_per_worker: that each worker reserves.
        metrics_port: where Ray serves Prometheus metrics, if it is started here; 0: any.
    """

    address: str = "local"
    workers: int = 0
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    metrics_port: int = 0

    @property
    def local_workers(self) -> int:
        """The number of workers on this machine."""
        return self.workers or max(1, int((os.cpu_count() or 1) // max(self.cpus_per_worker, 1)))


def require_ray() -> Any:
    """Import the module ``ray``.

    Raises:
        MissingExtraError: it is not installed.
    """
    return import_extra("ray", "cluster", "analyze on several processes")


@contextmanager
def connected(resources: Resources) -> Iterator[Resources]:
    """Connect to a cluster or start one here, unless this process is connected already.

    Yields:
        The resources with the number of workers.

    Raises:
        SettingError: no cluster answers at the address, or it has too few CPUs or GPUs.
        MissingExtraError: ray is not installed.
    """
    ray = require_ray()
    started = not ray.is_initialized()
    if started:
        _start(ray, resources)
    try:
        yield _with_workers(ray, resources)
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, resources: Resources) -> None:
    address = resources.address
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "auto":
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), **options)
        except ConnectionError:
            address = "local"
        else:
            return
    if address == "local":
        _start_local(ray, resources, options)
        return
    _check_reachable(address)
    for attempts_left in reversed(range(_START_ATTEMPTS)):
        try:
            ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            # The head starts a process for each client, which now and then fails.
            if not attempts_left or _NOT_STARTED not in str(error):
                raise _unreachable(address, error) from None
        else:
            return


def _start_local(ray: Any, resources: Resources, options: dict[str, Any]) -> None:
    """Start Ray on this machine; it gives up after 30 s, which an overloaded machine may exceed."""
    count = resources.local_workers
    for attempts_left in reversed(range(_START_ATTEMPTS)):
        try:
            ray.init(
                address="local",
                num_cpus=max(1, round(count * resources.cpus_per_worker)),
                num_gpus=round(count * resources.gpus_per_worker) or None,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                _metrics_export_port=resources.metrics_port or None,
                **options,
            )
        except Exception as error:  # Ray raises plain exceptions where its processes do not start.
            ray.shutdown()
            if not attempts_left:
                raise MienError(
                    f"expected Ray to start on this machine, but: {str(error).strip()}; is the "
                    "machine overloaded, or /tmp full?"
                ) from error
        else:
            return


def _check_reachable(address: str) -> None:
    """Fail fast, where Ray would wait for minutes."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "ray" or not parts.hostname or port is None:
        raise SettingError(
            f"expected --address to be local, auto, ray://host:10001 or host:6379, got {address!r}"
        )
    try:
        socket.create_connection((parts.hostname, port), timeout=_CONNECT_S).close()
    except OSError as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> SettingError:
    reason = str(getattr(error, "strerror", None) or error).split("\n", maxsplit=1)[0]
    return SettingError(
        f"expected a Ray cluster at {address}, but: {reason}; start one with `ray start --head`, "
        "set RAY_AUTH_MODE and RAY_AUTH_TOKEN as it does, or use --address local"
    )


def _with_workers(ray: Any, resources: Resources) -> Resources:
    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    if resources.cpus_per_worker > cpus or resources.gpus_per_worker > gpus:
        raise SettingError(
            f"expected a cluster with {resources.cpus_per_worker:g} CPUs and "
            f"{resources.gpus_per_worker:g} GPUs for a worker, got one with {cpus:g} and "
            f"{gpus:g}: use --cpus-per-worker and --gpus-per-worker"
        )
    fitting = int(cpus // resources.cpus_per_worker) if resources.cpus_per_worker else 1
    if resources.gpus_per_worker:
        fitting = min(fitting, int(gpus // resources.gpus_per_worker))
    return replace(resources, workers=resources.workers or max(1, fitting))


class Pool:
    """Gives the parts of a plan to workers, one part at a time each.

    At most one part for each worker is on its way, and what comes back is its commit: memory does
    not grow with the inputs.

    Args:
        resources: with the number of workers.
        work: for the workers.
        on_death: called with a message when a worker dies.
    """

    def __init__(
        self,
        resources: Resources,
        work: WorkSettings,
        *,
        on_death: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._ray = require_ray()
        self._resources, self._work, self._on_death = resources, work, on_death
        self._folder = Folder(work.out)
        self._running: dict[Any, tuple[Any, Part]] = {}
        self._careful: deque[Part] = deque()
        self._stuck: dict[int, tuple[int, int]] = {}

    def run(
        self, plan: Plan, numbers: Iterable[int], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Part, dict[str, Any]]]:
        """Run parts, in any order; a part whose worker died runs again, carefully.

        Args:
            plan: has the parts.
            numbers: of the parts to run.
            should_stop: asked twice a second; True ends the workers, and what is not committed
                is lost.

        Yields:
            Each part with its commit, when it ends.

        Raises:
            MienError: a worker failed for a reason that all inputs have, or workers keep dying
                before they analyze anything.
        """
        waiting = iter(numbers)
        try:
            for _ in range(self._resources.workers):
                if not self._submit(self._new_actor(), plan, waiting):
                    break
            while self._running and not should_stop():
                done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_POLL_S)
                for reference in done:
                    actor, part = self._running.pop(reference)
                    commit = self._result(reference, part)
                    if commit is None:
                        actor = self._new_actor()
                    else:
                        yield part, commit
                    self._submit(actor, plan, waiting)
        finally:
            for actor, _ in self._running.values():
                self._ray.kill(actor)
            self._running.clear()

    def _submit(self, actor: Any, plan: Plan, waiting: Iterator[int]) -> bool:
        """Give a worker its next part, if there is one."""
        careful = bool(self._careful)
        if careful:
            part = self._careful.popleft()
        else:
            number = next(waiting, None)
            if number is None:
                self._ray.kill(actor)
                return False
            part = plan.part(number)
        self._running[actor.run.remote(part, careful)] = (actor, part)
        return True

    def _result(self, reference: Any, part: Part) -> dict[str, Any] | None:
        """The commit of a part; None where its worker died, and the part waits to run again."""
        errors = self._ray.exceptions
        try:
            commit: dict[str, Any] = self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, MienError) else None
            if cause is not None:
                raise cause from None
            last = str(error).strip().rpartition("\n")[2]
            raise MienError(f"expected a worker to run, but it failed: {last}") from error
        except (errors.RayError, errors.RaySystemError) as error:
            self._died(part, error)
            return None
        return commit

    def _died(self, part: Part, error: Exception) -> None:
        total = Journal(self._folder, part).total
        before, times = self._stuck.get(part.number, (-1, 0))
        times = times + 1 if total == before else 0
        self._stuck[part.number] = (total, times)
        reason = type(error).__name__
        if times >= _DEATHS_IN_A_ROW:
            raise MienError(
                f"expected workers to start, but {times + 1} died before they analyzed anything "
                f"({reason}): check their memory and installation, then use --resume"
            ) from error
        self._on_death(f"a worker died in {part.name} ({reason}); the part runs again")
        self._careful.append(part)

    def _new_actor(self) -> Any:
        actor = self._ray.remote(_Actor).options(
            num_cpus=self._resources.cpus_per_worker,
            num_gpus=self._resources.gpus_per_worker,
            max_restarts=0,
        )
        return actor.remote(self._work)


class _Actor:
    """A worker in its own process; its pipeline is built by the first part, and stays."""

    def __init__(self, work: WorkSettings) -> None:
        self._work = work
        self._worker: Worker | None = None
        self._counters: dict[str, Any] = {}

    def run(self, part: Part, careful: bool) -> dict[str, Any]:
        try:
            self._worker = self._worker or Worker(self._work)
            commit = self._worker.run(part, careful=careful)
        except MissingExtraError as error:
            # Its arguments are not its message, so it cannot be sent to another process.
            raise MienError(str(error)) from None
        self._count(commit)
        return commit

    def _count(self, commit: dict[str, Any]) -> None:
        """Add a part to the metrics that Ray serves on each machine."""
        from ray.util.metrics import Counter

        counts = {name: commit["counts"].get(name, 0) for name in _METRICS}
        for name, value in {**counts, "seconds": commit["seconds"], "parts": 1}.items():
            if name not in self._counters:
                about = f"`mien batch`: {_METRICS.get(name, name)} of the parts that are complete."
                self._counters[name] = Counter(f"mien_batch_{name}", about, tag_keys=("run",))
            if value:
                self._counters[name].inc(value, tags={"run": self._work.out})
