"""The command ``mien``: parse options, call the library, print results."""

import os
import signal


def main() -> None:
    """Run the command line. docs/cli.md lists the exit statuses."""
    # Until the command is imported, Ctrl-C ends the process as it ends others, without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The threads of NumPy's OpenBLAS wait in loops, and only cost time with matrices this small.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from mien.cli.app import app

    app(prog_name="mien")
