"""Parts of work on a pool of Ray actors, which are replaced when their process or machine dies."""

import logging
import math
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from mien.cluster.actor import Actor
from mien.cluster.attempts import Journal
from mien.cluster.folder import Folder
from mien.cluster.plan import Part, Plan
from mien.cluster.worker import WorkSettings
from mien.errors import MienError, SettingError, import_extra

# Ray reports usage to its vendor unless this is set, warns about a future default, and prints the
# tracebacks of further workers that fail.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")

_CONNECT_S = 10
_POLL_S = 0.5
# Commits are a few hundred bytes; the smallest object store that Ray accepts is 75 MiB.
_OBJECT_STORE_BYTES = 100 << 20
_MISSED_HEARTBEATS = 100
"""Ray gives its own machine up after five of them, which an overloaded one misses."""
_MOST_PER_CPU = 8
"""Workers on a machine; each takes about 300 MB."""
_DEATHS_IN_A_ROW = 3
_PATIENCE_S = 60.0
_PROCESSES = ("raylet", "gcs_server")  # Ray does not work without them.
# They copy the output of workers, serve pages and ask for machines, none of which a run here uses.
_IDLE_PROCESSES = ("log_monitor", "dashboard", "monitor")
_START_ATTEMPTS = 3
_NOT_STARTED = "Initialization failure from server"


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
        with _own_signals():
            _start(ray, resources)
    try:
        yield _with_workers(ray, resources)
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this program does at SIGTERM, at which Ray would end it with a stack trace."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # of Ray's handler, while it starts
        raise KeyboardInterrupt from None
    finally:
        if callable(handler) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


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
    count, most = resources.local_workers, _MOST_PER_CPU * (os.cpu_count() or 1)
    if count > most:
        raise SettingError(
            f"expected at most {most} workers on this machine, {_MOST_PER_CPU} for each CPU, got "
            f"{count}: they would exhaust its memory; use --address for a cluster"
        )
    for attempts_left in reversed(range(_START_ATTEMPTS)):
        try:
            ray.init(
                address="local",
                num_cpus=max(1, round(count * resources.cpus_per_worker)),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                _system_config={"health_check_failure_threshold": _MISSED_HEARTBEATS},
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
            break
    node = _started_node(ray)
    for name in _IDLE_PROCESSES:
        with suppress(AttributeError):
            getattr(node, f"kill_{name}")(check_alive=False)


def _started_node(ray: Any) -> Any:
    """Ray's processes that this one started; None where there are none."""
    return getattr(ray._private.worker, "_global_node", None)


def _check_reachable(address: str) -> None:
    """Fail fast, where Ray would wait for minutes."""
    try:
        parts = urlsplit(address if "://" in address else f"ray://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.scheme != "ray":
        raise SettingError(
            f"expected --address to be local, auto, ray://host:10001 or host:6379, got {address!r}"
        )
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
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
        on_warning: called with a message when the run waits for the cluster.
    """

    def __init__(
        self,
        resources: Resources,
        work: WorkSettings,
        *,
        on_death: Callable[[str], None] = lambda message: None,
        on_warning: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._ray = require_ray()
        self._resources, self._work = resources, work
        self._on_death, self._on_warning = on_death, on_warning
        self._folder = Folder(work.out)
        self._starting: dict[Any, Any] = {}
        self._running: dict[Any, tuple[Any, Part]] = {}
        self._waiting: deque[int] = deque()
        self._careful: deque[Part] = deque()
        self._stuck: dict[int | None, tuple[int, int]] = {}
        self._busy_at = time.monotonic()

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
            MienError: a worker failed for a reason that all inputs have, workers keep dying before
                they analyze anything, or Ray ended.
        """
        self._waiting = deque(numbers)
        self._busy_at = time.monotonic()
        try:
            for _ in range(min(self._resources.workers, len(self._waiting))):
                self._start_actor()
            while (self._waiting or self._careful or self._running) and not should_stop():
                self._check_ray()
                for reference in self._ended():
                    if reference in self._starting:
                        actor, part = self._starting.pop(reference), None
                    else:
                        actor, part = self._running.pop(reference)
                    commit = self._result(reference, part)
                    if commit is None:
                        self._kill(actor)
                        self._start_actor()
                        continue
                    if part is None:
                        self._stuck.pop(None, None)
                    else:
                        yield part, commit
                    self._submit(actor, plan)
        except ConnectionError as error:
            reason = str(error).strip().partition("\n")[0]
            raise MienError(
                f"expected the cluster at {self._resources.address} to answer, but: {reason}; when "
                "it runs again, use --resume"
            ) from error
        finally:
            busy = [actor for actor, _ in self._running.values()]
            for actor in (*self._starting.values(), *busy):
                with suppress(ConnectionError):
                    self._kill(actor)
            self._starting.clear()
            self._running.clear()

    def _ended(self) -> list[Any]:
        """Wait for one of the workers to start or to end its part."""
        pending = [*self._running, *self._starting]
        # To fetch results, Ray would wait for a machine that is lost.
        done, _ = self._ray.wait(pending, num_returns=1, timeout=_POLL_S, fetch_local=False)
        return list(done)

    def _check_ray(self) -> None:
        """Raise where Ray's processes that this one started ended, or the connection to a cluster.

        Ray itself would wait, exit, or start another Ray.
        """
        if not self._ray.is_initialized():
            raise ConnectionError("the connection ended")
        node = _started_node(self._ray)
        dead = [name for name, _ in node.dead_processes()] if node else []
        if lost := [name for name in dead if name in _PROCESSES]:
            raise MienError(
                f"expected Ray to run on this machine, but its process {lost[0]} ended: check the "
                "memory and the load, then use --resume"
            )
        if self._running:
            self._busy_at = time.monotonic()
        elif time.monotonic() - self._busy_at > _PATIENCE_S:
            self._busy_at = math.inf
            self._on_warning(
                f"no worker started for {_PATIENCE_S:.0f} s: the cluster has no free CPUs or GPUs "
                "for one; the run waits for them"
            )

    def _kill(self, actor: Any) -> None:
        # Where the connection ended, this call would start another Ray.
        if self._ray.is_initialized():
            self._ray.kill(actor)

    def _submit(self, actor: Any, plan: Plan) -> None:
        """Give a worker its next part, if there is one."""
        careful = bool(self._careful)
        if careful:
            part = self._careful.popleft()
        elif self._waiting:
            part = plan.part(self._waiting.popleft())
        else:
            self._kill(actor)
            return
        self._running[actor.run.remote(part, careful)] = (actor, part)

    def _result(self, reference: Any, part: Part | None) -> dict[str, Any] | None:
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
        except errors.RayError as error:
            self._died(part, error)
            return None
        return commit

    def _died(self, part: Part | None, error: Exception) -> None:
        number = part.number if part else None
        total = Journal(self._folder, part).total if part else 0
        before, times = self._stuck.get(number, (-1, 0))
        times = times + 1 if total == before else 0
        self._stuck[number] = (total, times)
        reason = type(error).__name__
        if times >= _DEATHS_IN_A_ROW:
            raise MienError(
                f"expected workers to start, but {times + 1} died before they analyzed anything "
                f"({reason}): check their memory and installation, then use --resume"
            ) from error
        if part is None:
            self._on_death(f"a worker died before its first part ({reason})")
        else:
            self._on_death(f"a worker died in {part.name} ({reason}); the part runs again")
            self._careful.append(part)

    def _start_actor(self) -> None:
        """Start a worker, which gets a part when it runs: it may never find a machine."""
        self._check_ray()
        actor = self._ray.remote(Actor).options(
            num_cpus=self._resources.cpus_per_worker,
            num_gpus=self._resources.gpus_per_worker,
            max_restarts=0,
        )
        started = actor.remote(self._work)
        self._starting[started.started.remote()] = started
