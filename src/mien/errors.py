"""The exceptions of mien.

::

    MienError
    ├── InputError            an argument or a file cannot be used
    │   ├── ImageReadError    a file or bytes that are not a readable picture
    │   ├── VideoReadError    a file that is not a readable video
    │   └── DataError         a labeled data set that cannot be read
    ├── SettingError          a setting has an invalid value
    ├── ModelError            a model cannot be used
    │   ├── ModelNotFoundError
    │   ├── ModelFileError    damaged, or its checksum differs
    │   └── SpecError         the specification of a model is missing or invalid
    ├── ProviderError         the requested execution provider is not installed
    ├── DownloadError         a model could not be downloaded
    ├── ServerError           a server is unreachable, or refuses a request
    ├── CameraError           a camera cannot be opened or was disconnected
    └── MissingExtraError     an optional dependency is not installed

Every message says what was expected, what was received, and how to fix it. A picture without
faces is an empty result and not an error.
"""

from importlib import import_module
from typing import Any


def valid_text(text: str) -> str:
    """A path or name as text of valid UTF-8: bytes that are none become ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 face``, ``2,000 faces``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class MienError(Exception):
    """Base of all exceptions of mien.

    Examples:
        >>> import mien
        >>> try:
        ...     mien.analyze("absent.jpg")
        ... except mien.MienError as error:
        ...     print(type(error).__name__)
        ImageReadError
    """


class InputError(MienError, ValueError):
    """An argument or a file cannot be used."""


class ImageReadError(InputError):
    """A file or bytes that are not a readable picture."""


class VideoReadError(InputError):
    """A file that is not a readable video."""


class NoFrameError(VideoReadError):
    """A video without a frame in the selection."""


class DataError(InputError):
    """A labeled data set that cannot be read."""


class SettingError(MienError, ValueError):
    """A setting has an invalid value."""


class ModelError(MienError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """No model has that name, and no file exists at that path."""


class ModelFileError(ModelError):
    """A model file is damaged, or its checksum differs from the recorded one."""


class SpecError(ModelError):
    """The specification of a model is missing or invalid."""


class ProviderError(MienError):
    """The installed onnxruntime does not have the requested execution provider."""


class DownloadError(MienError):
    """A model could not be downloaded."""


class ServerError(MienError):
    """A mien server is unreachable, busy, or refuses a request."""


class CameraError(MienError):
    """A camera cannot be opened, or was disconnected."""


class MissingExtraError(MienError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of mien that installs it.
        purpose: what it is needed for, as the end of "needed to …".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{package} is needed to {purpose}, and is not installed: pip install 'mien[{extra}]'"
        )
        self.package = package
        self.extra = extra


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional dependency; the arguments are those of the error.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0], extra, purpose) from None
