"""The output folder of a run, in which files appear in one step."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from mien.cluster.storage import (
    COPY_BYTES,
    StorageError,
    copied,
    filesystem,
    is_local,
    join,
    local_path,
    reason_of,
)
from mien.errors import InputError, SettingError

_PARTIAL = ".partial"


class Folder:
    """The output folder of a run, local or remote.

    Args:
        address: of the folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.local = is_local(address)
        self._files, root = filesystem(address)
        self._root = root.rstrip("/") or "/"

    @property
    def absolute(self) -> str:
        """Its address, which means the same folder in every process."""
        return str(local_path(self.address).absolute()) if self.local else self.address

    def make(self) -> None:
        """Make the folder, and check that files can be written.

        Raises:
            SettingError: they cannot.
        """
        try:
            self.write("run.check", b"")
            self.delete("run.check")
        except StorageError as error:
            raise SettingError(
                f"expected --out to be a folder that can be written, got {self.address}: "
                f"{error.__cause__ or error}"
            ) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file in one step: a reader sees the whole file or none.

        Raises:
            StorageError: it cannot be written.
        """
        with self._writing(name) as stream:
            stream.write(content)

    def upload(self, file: IO[bytes], name: str) -> None:
        """Write the rest of an open file in one step.

        Raises:
            StorageError: it cannot be written.
        """
        with self._writing(name) as stream:
            shutil.copyfileobj(file, stream, COPY_BYTES)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Any]:
        """A stream whose file appears at the end of the block, unless there is an error.

        Object stores do this by themselves, also when the process is killed; a local file is
        written beside its place and moved.
        """
        path = f"{self._root}/{name}"
        parent, base = os.path.split(path)
        # Readers of a folder of tables, such as pandas, leave out hidden files.
        partial = f"{parent}/.{base}.{os.getpid()}{_PARTIAL}"
        try:
            if self.local:
                os.makedirs(parent, exist_ok=True)
                with open(partial, "wb") as file:
                    yield file
                    # After a loss of power, a commit must not be there without its tables.
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
            else:
                with self._files.open_output_stream(path, compression=None) as stream:
                    yield stream
        except OSError as error:
            raise StorageError(
                f"expected to write {path}, but: {reason_of(error)}; make room or get access "
                "there, then use --resume"
            ) from error
        finally:
            if self.local:
                with suppress(OSError):
                    os.unlink(partial)

    def delete_partial(self) -> None:
        """Delete what processes left that were killed while they wrote."""
        if self.local:
            for path in local_path(self.address).rglob(f".*{_PARTIAL}"):
                path.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}", compression=None) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{join(self.address, name)}: {reason_of(error)}") from None

    def fetch(self, name: str) -> IO[bytes] | None:
        """A copy of a file without a name; None where there is none."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}", compression=None) as stream:
                return copied(stream)
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        try:
            self._files.delete_file(f"{self._root}/{name}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(f"{join(self.address, name)}: {reason_of(error)}") from error

    def names(self, folder: str = "") -> list[str]:
        """The names of the files in a subfolder, sorted; none where there is no such folder."""
        return sorted(info.base_name for info in self._infos(folder) if info.is_file)

    def is_empty(self, *but: str) -> bool:
        """Whether nothing is there but hidden files, and files of these names."""
        names = [info.base_name for info in self._infos("")]
        return all(name.startswith(".") or name in but for name in names)

    def _infos(self, folder: str) -> Iterator[Any]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(f"{self._root}/{folder}".rstrip("/"), allow_not_found=True)
        try:
            yield from self._files.get_file_info(selector)
        except OSError as error:
            raise InputError(f"{join(self.address, folder)}: {reason_of(error)}") from None
