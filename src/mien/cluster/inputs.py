"""Finding the inputs that folders, patterns, manifests, lists and addresses refer to."""

import contextlib
import errno
import glob
import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mien.cluster import storage
from mien.cluster.segments import Piece
from mien.errors import InputError, valid_text
from mien.files import text_lines
from mien.media.clips import VIDEO_SUFFIXES
from mien.media.formats import SUFFIXES
from mien.recording import FRAMES_FILE
from mien.streaming.outputs import RESULT_FOLDERS
from mien.tables.csv_files import check_columns, parse_rows

URI_COLUMN = "uri"
_COMPRESSED = ("gz", "bz2", "xz", "zst")
_SHARD_SUFFIXES = (
    ".tar",
    *(f"{start}{kind}" for kind in _COMPRESSED for start in (".tar.", ".t")),
    ".tgz",
)
_TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
_LIST_SUFFIX = ".txt"
_NOT_HIDDEN = r"(?!(?<![^/])\.)"
"""Not before the dot of a hidden name."""


@dataclass(frozen=True, slots=True)
class Input:
    """One image, video or shard.

    Attributes:
        uri: as it was given, or below the folder that was given; for results.
        address: where to read it: an absolute path or an address.
        columns: what a manifest says about it.
        piece: of a long video that several workers analyze.
    """

    uri: str
    address: str
    columns: dict[str, Any] = field(default_factory=dict)
    piece: Piece | None = None

    def __post_init__(self) -> None:
        # A file name of other bytes than UTF-8 opens the file, but cannot stand in a table.
        object.__setattr__(self, "uri", valid_text(self.uri))

    @property
    def suffix(self) -> str:
        """The file extension in lower case, without the query of an address."""
        name = storage.split(self.address)[0].lower()
        shard = next((suffix for suffix in _SHARD_SUFFIXES if name.endswith(suffix)), None)
        return shard or os.path.splitext(name)[1]

    @property
    def is_video(self) -> bool:
        return self.suffix in VIDEO_SUFFIXES and self.suffix not in SUFFIXES

    @property
    def is_shard(self) -> bool:
        return self.suffix in _SHARD_SUFFIXES


def find_inputs(
    sources: Iterable[str], *, exclude: str = "", on_again: Callable[[str], None] = lambda uri: None
) -> Iterator[Input]:
    """All inputs of the sources, in a fixed order; the same address is returned once.

    Args:
        sources: folders, searched recursively by file extension, linked ones too, hidden files and
            recordings of mien left out; patterns with ``*``, ``?`` or ``[``, in which ``**``
            matches nested folders, and hidden names need their dot; tables (CSV, TSV or Parquet)
            with a column ``uri``, whose other columns are carried along; text files with one path
            or address per line; images, videos and tar shards. All may be local or addresses; what
            a table or list names may be relative to it.
            A folder in them that cannot be read is an input, which then fails.
        exclude: the output folder, which is not searched.
        on_again: called with the name of an input of a table that was returned before.

    Raises:
        InputError: a source has no inputs or cannot be read, or two files have one name.
    """
    with contextlib.closing(_Seen()) as seen:
        for source in sources:
            if not source.strip():
                raise InputError(f"expected a folder, a file or an address, got {source!r}")
            empty = True
            for found in _inputs_of(source, exclude):
                empty = False
                if seen.add(_identity(found.address)):
                    if not seen.add(f"uri {found.uri}"):
                        raise InputError(
                            f"expected a name for each file, but {found.uri} of {source} is "
                            "another file than in an earlier table or list: give absolute paths"
                        )
                    yield found
                elif found.columns:
                    on_again(found.uri)
            if empty:
                raise InputError(f"expected images, videos or shards in {source}, but it has none")


def _identity(address: str) -> str:
    """What addresses of one file have in common, whatever links lead to its folder."""
    if not storage.is_local(address):
        return address
    parent, name = os.path.split(address)
    return os.path.join(_real_folder(parent), name)


@lru_cache(1024)
def _real_folder(path: str) -> str:
    return os.path.realpath(path)


def _inputs_of(source: str, exclude: str) -> Iterator[Input]:
    is_table = storage.split(source)[0].lower().endswith((*_TABLE_SUFFIXES, _LIST_SUFFIX))
    if _is_pattern(source):
        for found in _matching(source, exclude):
            yield from _listed(found.address) if is_table else (found,)
    elif is_table:
        yield from _listed(source)
    elif storage.is_web(source):
        yield Input(source, source)
    elif storage.is_local(source):
        yield from _local(source, exclude)
    else:
        yield from _remote(source, exclude)


def _is_pattern(source: str) -> bool:
    if storage.is_web(source) or not glob.has_magic(storage.split(source)[0]):
        return False
    if storage.is_local(source):
        return not os.path.lexists(storage.local_path(source))
    return _kind(source) != "File"


def _local(source: str, exclude: str) -> Iterator[Input]:
    path = str(storage.local_path(source))
    if os.path.isdir(path):
        for name in _walk(path, exclude, lambda name: _is_input(os.path.basename(name))):
            yield Input(name, os.path.abspath(name))
    elif os.path.lexists(path):
        yield Input(source, os.path.abspath(path))
    else:
        raise InputError(f"expected a file, a folder or a pattern, but {source} does not exist")


def _walk(
    folder: str, exclude: str, is_wanted: Callable[[str], bool], *, hidden: bool = False
) -> Iterator[str]:
    """The wanted files below a folder, sorted, and the folders that cannot be read.

    Linked folders too, but each folder once; hidden ones if asked for.
    """
    problems: list[OSError] = []
    seen = {_folder_id(exclude)} if exclude else set()
    for parent, folders, files in os.walk(folder, onerror=problems.append, followlinks=True):
        number = _folder_id(parent)
        if number in seen:
            folders.clear()
            continue
        if FRAMES_FILE in files:  # a recording, perhaps beside videos
            folders[:] = [name for name in folders if name not in RESULT_FOLDERS]
            files[:] = [name for name in files if not name.startswith("annotated.")]
        seen.add(number)
        folders[:] = sorted(name for name in folders if hidden or name[0] != ".")
        names = (os.path.join(parent, name) for name in sorted(files) if hidden or name[0] != ".")
        yield from filter(is_wanted, names)
    for error in problems:
        if error.filename == folder:
            raise InputError(f"{folder}: the folder cannot be read: {error.strerror}")
        yield error.filename


def _folder_id(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _is_input(name: str) -> bool:
    suffix = os.path.splitext(name.lower())[1]
    known = suffix in SUFFIXES or suffix in VIDEO_SUFFIXES or name.lower().endswith(_SHARD_SUFFIXES)
    return known and not name.startswith(".")


def _remote(source: str, exclude: str) -> Iterator[Input]:
    """The inputs below an address, or the file at it."""
    kind = _kind(source)
    if kind == "File":
        yield Input(source, source)
        return
    if kind == "NotFound":
        raise InputError(f"expected a file or a folder, but {source} does not exist")
    for found in _below(source, exclude):
        if _is_input(found.rpartition("/")[2]):
            yield Input(found, found)


def _kind(address: str) -> str:
    """``File``, ``Directory`` or ``NotFound``."""
    files, path = storage.filesystem(address)
    try:
        return str(files.get_file_info(path.rstrip("/")).type.name)
    except OSError as error:
        raise InputError(f"{address}: cannot be read: {error}") from None


def _below(folder: str, exclude: str, *, hidden: bool = False) -> Iterator[str]:
    """The addresses of the files below a folder, sorted, as :func:`_walk` finds local ones."""
    from pyarrow.fs import FileSelector

    files, root = storage.filesystem(folder.rstrip("/"))
    try:
        infos = files.get_file_info(FileSelector(root, recursive=True))
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read: {error}") from None
    names = sorted(info.path[len(root) :].lstrip("/") for info in infos if info.is_file)
    recordings = {os.path.dirname(name) for name in names if os.path.basename(name) == FRAMES_FILE}
    for name in names:
        found = storage.join(folder, name)
        if exclude and found.startswith(f"{exclude.rstrip('/')}/"):
            continue
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if (hidden or not is_hidden) and not (recordings and _is_result(name, recordings)):
            yield found


def _is_result(name: str, recordings: set[str]) -> bool:
    """Whether a file belongs to one of the recordings, which are folders."""
    parts = name.split("/")
    if parts[-1].startswith("annotated.") and "/".join(parts[:-1]) in recordings:
        return True
    places = (number for number, part in enumerate(parts[:-1]) if part in RESULT_FOLDERS)
    return any("/".join(parts[:number]) in recordings for number in places)


def _matching(pattern: str, exclude: str) -> Iterator[Input]:
    """The files that match a pattern."""
    if storage.is_local(pattern):
        for found in _matching_files(str(storage.local_path(pattern)), exclude):
            yield Input(found, os.path.abspath(found))
        return
    base, query = storage.split(pattern)
    fixed = re.split(r"[*?\[]", base, maxsplit=1)[0].rpartition("/")[0]
    matches = _expression(base).fullmatch
    for found in _below(fixed + query, exclude, hidden=_names_hidden(base[len(fixed) :])):
        if matches(storage.split(found)[0]):
            yield Input(found, found)


def _matching_files(pattern: str, exclude: str) -> Iterator[str]:
    parts = pattern.split(os.sep)
    if "**" not in parts:
        yield from (found for found in sorted(glob.iglob(pattern)) if os.path.isfile(found))
        return
    # The module glob would follow a link to a folder above it again and again.
    start = parts.index("**")
    bases = sorted(glob.iglob(os.sep.join([*parts[:start], ""]))) if start else [""]
    prefix = "" if start else f".{os.sep}"
    matches = _expression("/".join([*prefix.split(os.sep)[:-1], *parts])).fullmatch
    hidden = _names_hidden("/".join(parts[start:]))

    def is_wanted(path: str) -> bool:
        return matches(path.replace(os.sep, "/")) is not None

    for base in bases:
        for found in _walk(base or ".", exclude, is_wanted, hidden=hidden):
            yield found.removeprefix(prefix)


def _names_hidden(pattern: str) -> bool:
    return pattern.startswith(".") or "/." in pattern


def _expression(pattern: str) -> re.Pattern[str]:
    """A regular expression for a pattern.

    Only ``**`` matches across folders, and only a dot the dot at the beginning of a hidden name.
    """
    text = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", pattern, re.DOTALL):
        if token == "**/":
            text += r"(?:(?!\.)[^/]+/)*"
        elif token in ("**", "*", "?"):
            folders = r"[^/]*(?:/(?!\.)[^/]*)*"
            text += _NOT_HIDDEN + {"**": folders, "*": "[^/]*", "?": "[^/]"}[token]
        elif token.startswith("[") and len(token) > 1:
            text += _NOT_HIDDEN + token.replace("[!", "[^", 1)
        else:
            text += re.escape(token)
    return re.compile(text, re.DOTALL)


def _listed(source: str) -> Iterator[Input]:
    """The inputs of a table or list."""
    remote = not storage.is_local(source)
    if remote:
        path, query = storage.split(source)
        base = path.rpartition("/")[0] + query
    else:
        base = os.path.dirname(os.path.abspath(storage.local_path(source)))
    for number, row in enumerate(_rows(source), start=1):
        uri = row.pop(URI_COLUMN)
        if not isinstance(uri, str) or not uri.strip() or "\0" in uri:
            raise InputError(
                f"expected a path or an address in the column {URI_COLUMN!r} of each row of "
                f"{source}, got {uri!r} in row {number}"
            )
        if "://" in uri and not storage.is_local(uri):
            address = uri
        elif remote:
            address = storage.resolve(base, uri)
        else:
            address = os.path.abspath(os.path.join(base, storage.local_path(uri)))
        yield Input(uri, address, row)


def _rows(source: str) -> Iterator[dict[str, Any]]:
    lower = storage.split(source)[0].lower()
    if lower.endswith(".parquet"):
        yield from _parquet_rows(source)
        return
    with contextlib.closing(text_lines(storage.fetch(source), source)) as lines:
        if lower.endswith(_LIST_SUFFIX):
            stripped = (line.strip() for line in lines)
            yield from ({URI_COLUMN: name} for name in stripped if name and name[0] != "#")
        else:
            yield from (row for _, row in parse_rows(lines, source, [URI_COLUMN]))


class _Seen:
    """Addresses that were found before: what tells them apart, in a file."""

    def __init__(self) -> None:
        # SQLite's name of a database on disk that ends with its connection.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, address: str) -> bool:
        """Whether an address is new."""
        digest = hashlib.blake2b(os.fsencode(address), digest_size=16).digest()
        try:
            found = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        except sqlite3.OperationalError as error:
            # Such as "database or disk is full".
            raise OSError(errno.ENOSPC, str(error)) from None
        return found.rowcount > 0

    def close(self) -> None:
        self._database.close()


def _parquet_rows(source: str) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        if storage.is_web(source):
            opened: Any = storage.fetch(source)
        else:
            files, path = storage.filesystem(source)
            opened = files.open_input_file(path)
        with opened as stream:
            table = parquet.ParquetFile(stream)
            check_columns(table.schema_arrow.names, source, [URI_COLUMN])
            for batch in table.iter_batches(10_000):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"expected a Parquet table at {source}, but: {storage.reason_of(error)}"
        ) from None
