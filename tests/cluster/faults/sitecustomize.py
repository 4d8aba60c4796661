"""Imported by each Python process of a test: inputs that end the process of a Ray worker.

An input whose name has "crash" ends every process that opens it, as a fault in a decoder does. One
of FAULT_EVERY others ends the first process that opens it; FAULT_FOLDER remembers which did.
"""

import os
import signal
import sys
import zlib


def _check(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], str | os.PathLike):
        return
    path = os.fspath(arguments[0])
    if not isinstance(path, str) or not path.endswith(".png"):
        return
    name = os.path.basename(path)
    once = os.path.join(os.environ["FAULT_FOLDER"], name)
    due = zlib.crc32(name.encode()) % int(os.environ["FAULT_EVERY"]) == 0
    if due and not os.path.exists(once):
        os.mkdir(once)
    elif "crash" not in name:
        return
    os.kill(os.getpid(), signal.SIGKILL)


if "FAULT_EVERY" in os.environ and sys.argv[0].endswith("default_worker.py"):
    sys.addaudithook(_check)
