"""Files: lines of text in the encodings that programs write, and whether one can be written."""

import codecs
import io
from collections.abc import Generator
from pathlib import Path
from typing import IO

from mien.errors import InputError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_lines(file: IO[bytes], source: str) -> Generator[str, None, None]:
    """The lines of a file in UTF-8, or in UTF-16 as Excel writes it, with their ends; closes it.

    Args:
        file: at its start; UTF-16 is known by its byte order mark, where the file can seek.
        source: its name, for errors.

    Raises:
        InputError: not such text.
    """
    encoding = "utf-8-sig"
    if file.seekable():
        encoding = "utf-16" if file.read(2) in _UTF_16 else encoding
        file.seek(0)
    try:
        with io.TextIOWrapper(file, encoding, newline="") as lines:
            yield from lines
    except UnicodeError:
        raise InputError(
            f"expected UTF-8 in {source}: save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from None


def unwritable(path: Path) -> str | None:
    """Why a file cannot be written, in the words of the system, or None; ask before long work."""
    try:
        if path.is_file():
            path.open("r+b").close()
        elif not path.exists():
            target = path.resolve()  # a link may lead to a file that is yet to be made
            target.open("xb").close()
            target.unlink()
    except OSError as error:
        return error.strerror
    return None
