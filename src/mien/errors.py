"""The exceptions that mien raises on purpose.

::

    MienError
    ├── InputError            something that the caller handed in cannot be used
    │   ├── ImageReadError    a file or bytes that are no readable picture
    │   ├── VideoReadError    a file that is no readable video
    │   └── DataError         a labeled data set that cannot be read
    ├── SettingError          a setting has a value that it cannot have
    ├── ModelError            a model cannot be used
    │   ├── ModelNotFoundError
    │   ├── ModelFileError    damaged, or its checksum differs
    │   └── SpecError         the facts that should travel with a model are missing or wrong
    ├── ProviderError         an execution provider that is not installed was asked for
    ├── DownloadError         a model could not be fetched
    ├── CameraError           a camera cannot be opened or went away
    └── MissingExtraError     an optional dependency is not installed

Every message says what was expected, what came, and the mend. A picture without faces is an
empty result and never an error.
"""


class MienError(Exception):
    """Base of all exceptions that mien raises on purpose."""


class InputError(MienError, ValueError):
    """Something that the caller handed in cannot be used."""


class ImageReadError(InputError):
    """A file or bytes that are no readable picture."""


class VideoReadError(InputError):
    """A file that is no readable video."""


class DataError(InputError):
    """A labeled data set that cannot be read."""


class SettingError(MienError, ValueError):
    """A setting has a value that it cannot have."""


class ModelError(MienError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """No model has that name, and no file lies at that path."""


class ModelFileError(ModelError):
    """A model file is damaged, or its checksum differs from the recorded one."""


class SpecError(ModelError):
    """The facts that should travel with a model are missing or wrong."""


class ProviderError(MienError):
    """An execution provider that this onnxruntime does not have was asked for."""


class DownloadError(MienError):
    """A model could not be fetched."""


class CameraError(MienError):
    """A camera cannot be opened, or went away."""


class MissingExtraError(MienError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of mien that brings it.
        purpose: what it is needed for, as the end of "needed to …".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{package} is needed to {purpose}, and is not installed: pip install 'mien[{extra}]'"
        )
        self.package = package
        self.extra = extra
