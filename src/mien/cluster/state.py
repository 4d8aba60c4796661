"""The state of a run in its output folder: ``run.json``, and what is committed."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mien.cluster.storage import Folder, local_path
from mien.cluster.tables import COMMITS
from mien.errors import SettingError
from mien.streaming.outputs import is_locked

RUN_FILE = "run.json"
_SILENT_S = 60.0
"""A run that has not saved its state for so long has ended without saying so."""
_ERRORS = 20
"""Failures that are named in ``run.json``."""
_COUNTS = ("inputs", "images", "videos", "failures", "faces", "frames", "tracks", "events")


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
        part: name of the last part that was committed, with its time in seconds and its counts.
    """

    parts: int = 0
    parts_total: int = 0
    resumed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    errors: list[str] = field(default_factory=list)
    deaths: int = 0
    dashboard: str = ""
    part: dict[str, Any] = field(default_factory=dict)

    def add(self, commit: dict[str, Any], part: str = "") -> None:
        """Add a part that is complete."""
        self.part = {"part": part, "seconds": commit.get("seconds"), **commit["counts"]}
        self.parts += 1
        for name in _COUNTS:
            self.counts[name] += commit["counts"].get(name, 0)
        self.errors += commit.get("errors", [])[: _ERRORS - len(self.errors)]

    def document(self) -> dict[str, Any]:
        """The progress as in ``run.json``."""
        counts = {("failed" if n == "failures" else n): c for n, c in self.counts.items()}
        return {"parts_done": self.parts, **counts, "errors": self.errors}


def read_commits(folder: Folder) -> dict[int, dict[str, Any]]:
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
    document = read_run(folder)
    if document is None:
        raise SettingError(
            f"expected the output of `mien batch`, but {out} has no {RUN_FILE}: check the path"
        )
    progress = Progress()
    for commit in read_commits(folder).values():
        progress.add(commit)
    document |= progress.document()
    if document["status"] == "running" and not is_alive(folder, document):
        document["status"] = "interrupted"
    return document


def is_alive(folder: Folder, document: dict[str, Any]) -> bool:
    """Whether the process of a run that is not over exists; a clock may be off by a minute."""
    if folder.local and is_locked(local_path(folder.address)):
        return True
    if document.get("host") == socket.gethostname():
        return not folder.local and _has_process(document.get("pid"))
    updated = datetime.fromisoformat(document["updated"])
    return (datetime.now(UTC) - updated).total_seconds() < _SILENT_S


def _has_process(pid: int | None) -> bool:
    """Whether this machine has a process; True where that cannot be asked."""
    try:
        if pid is not None and os.name == "posix":
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def read_run(folder: Folder) -> dict[str, Any] | None:
    content = folder.read(RUN_FILE)
    try:
        document = json.loads(content) if content is not None else None
    except ValueError:
        document = None
    return document if isinstance(document, dict) and "inputs_planned" in document else None


def now() -> str:
    """The time in UTC, as in ``run.json``."""
    return datetime.now(UTC).isoformat(timespec="seconds")
