"""The command ``mien``: parse options, call the library, print results."""

import os
import signal
import sys


def main() -> None:
    """Run the command line. docs/cli.md lists the exit statuses."""
    _open_closed_streams()
    # Until the command is imported, Ctrl-C ends the process as it ends others, without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The threads of NumPy's OpenBLAS wait in loops, and only cost time with matrices this small.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from mien.cli.app import app

    app(prog_name="mien")


def _open_closed_streams() -> None:
    """Open stdin, stdout and stderr where the caller closed them.

    Python has None there, and the next file that is opened would get their number.
    """
    streams = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
    for number, (name, mode) in enumerate(streams):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
