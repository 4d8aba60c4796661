"""The process of a worker on Ray, and the metrics that Ray serves of it."""

from typing import Any

from mien.cluster.attempts import STALL_S
from mien.cluster.plan import Part
from mien.cluster.worker import Worker, WorkSettings
from mien.errors import MienError, MissingExtraError

_METRICS = {
    "inputs": "inputs, those that failed included",
    "failures": "inputs that failed",
    "faces": "faces",
    "frames": "images, and analyzed frames of videos",
}


class Actor:
    """A worker in its own process; its pipeline is built by the first part, and stays."""

    def __init__(self, work: WorkSettings) -> None:
        self._work = work
        self._worker: Worker | None = None
        self._counters: dict[str, Any] = {}

    def started(self) -> dict[str, Any]:
        return {}

    def run(self, part: Part, careful: bool) -> dict[str, Any]:
        try:
            self._worker = self._worker or Worker(self._work, stall_s=STALL_S)
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
