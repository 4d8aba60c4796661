"""Silencing OpenCV, which writes to the terminal what mien says in an error of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

SILENT, ERRORS = 0, 2


@contextmanager
def opencv_log(level: int) -> Iterator[None]:
    """Have OpenCV write messages up to this level only: `SILENT` or `ERRORS`."""
    # Before 4.11 the functions are in the module itself.
    log = getattr(cv2.utils, "logging", cv2)
    before = log.setLogLevel(level)
    try:
        yield
    finally:
        log.setLogLevel(before)
