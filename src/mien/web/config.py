"""Settings of the web application: from the environment, overridden by the command line."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.config import data_folder
from mien.errors import SettingError

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}
MEGABYTE = 1024 * 1024
_RESERVED_THREADS = 16


def _setting(default: Any, variable: str, help_text: str, **facts: Any) -> Any:
    return field(default=default, metadata={"env": variable, "help": help_text, **facts})


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How the web application works.

    Raises:
        SettingError: a value that a setting cannot have.
    """

    host: str = _setting("127.0.0.1", "MIEN_HOST", "Address to listen on.")
    port: int = _setting(8000, "PORT", "Port to listen on.", low=0, high=65_535)
    public: bool = _setting(
        False, "MIEN_PUBLIC", "Serve anybody who can reach the port, without an access token."
    )
    access_token: str = _setting(
        "", "MIEN_ACCESS_TOKEN", "Ask visitors for this token, at least 12 characters."
    )
    secret_key: str = _setting(
        "", "MIEN_SECRET_KEY", "Signs cookies; by default one is made and kept in the data folder."
    )
    database_url: str = _setting(
        "", "DATABASE_URL", "PostgreSQL for what is kept; by default SQLite in the data folder."
    )
    jobs: str = _setting(
        "inline", "MIEN_JOBS",
        "Who works on video jobs: `inline`, the web process; `worker`, only workers of their own.",
        choices=("inline", "worker"),
    )  # fmt: skip
    camera: str = _setting(
        "", "MIEN_CAMERA", "A camera of this machine: a number, an rtsp:// address or a file."
    )
    proxies: int = _setting(
        0, "MIEN_PROXIES", "Reverse proxies in front whose forwarded headers are believed.",
        low=0, high=5,
    )  # fmt: skip
    threads: int = _setting(
        64, "MIEN_WEB_THREADS", "Threads that serve requests; a live connection holds one.",
        low=20, high=512,
    )  # fmt: skip
    max_live: int = _setting(
        40, "MIEN_MAX_LIVE", "Live connections at once; further ones are told to come back.",
        low=1, high=496,
    )  # fmt: skip
    max_image_mb: int = _setting(20, "MIEN_MAX_IMAGE_MB", "Largest photograph.", low=1, high=200)
    max_video_mb: int = _setting(50, "MIEN_MAX_VIDEO_MB", "Largest video.", low=1, high=50)
    max_video_s: int = _setting(
        600, "MIEN_MAX_VIDEO_S", "Longest video in seconds.", low=1, high=36_000
    )
    result_hours: int = _setting(
        24, "MIEN_RESULT_HOURS", "Results of videos are deleted after this, unless kept.",
        low=1, high=8_760,
    )  # fmt: skip
    session_days: int = _setting(
        30, "MIEN_SESSION_DAYS", "Recorded sessions are deleted after this.", low=1, high=3_650
    )
    rate_limits: bool = _setting(True, "MIEN_RATE_LIMITS", "Limit how often one visitor may ask.")
    data_dir: Path = field(default_factory=data_folder, metadata={"env": ""})

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            low, high = entry.metadata.get("low"), entry.metadata.get("high")
            value = getattr(self, entry.name)
            if low is not None and not low <= value <= high:
                raise SettingError(
                    f"expected {entry.metadata['env']} from {low} to {high}, got {value}"
                )
            choices = entry.metadata.get("choices")
            if choices is not None and value not in choices:
                raise SettingError(
                    f"expected {entry.metadata['env']} to be {' or '.join(choices)}, got {value!r}"
                )
        if self.access_token and len(self.access_token) < 12:
            raise SettingError(
                "expected MIEN_ACCESS_TOKEN to have at least 12 characters, got "
                f"{len(self.access_token)}: python -c 'import secrets; "
                "print(secrets.token_urlsafe())' makes one"
            )
        if self.max_live > self.threads - _RESERVED_THREADS:
            raise SettingError(
                f"expected MIEN_MAX_LIVE to be at least {_RESERVED_THREADS} below "
                f"MIEN_WEB_THREADS, so that pages are served while all connections are taken, "
                f"got {self.max_live} and {self.threads}"
            )

        # What looks like a file must be one: nobody shall learn that from a camera page.
        is_path = self.camera and not self.camera.isdecimal() and "://" not in self.camera
        if is_path and not Path(self.camera).is_file():
            raise SettingError(
                "expected --camera (MIEN_CAMERA) to be a number, an rtsp:// address or a video "
                f"file, got {self.camera!r}"
            )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> "WebConfig":
        """Settings from the environment; overrides that are not None win.

        Raises:
            SettingError: a value that a setting cannot have.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for entry in dataclasses.fields(cls):
            variable = entry.metadata["env"]
            if variable and variable in environment:
                values[entry.name] = _parse(variable, entry.default, environment[variable])
        # On Heroku, known by this variable, the only way in is its router: one proxy, from outside.
        if "DYNO" in environment:
            values.setdefault("proxies", 1)
            values.setdefault("host", "0.0.0.0")
        values.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**values)

    def ready_data_dir(self) -> Path:
        """The data folder, made where it is not there yet.

        Raises:
            SettingError: nothing can be kept there.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            usable = os.access(self.data_dir, os.W_OK | os.X_OK)
        except OSError:
            usable = False
        if not usable:
            raise SettingError(
                f"nothing can be kept in {self.data_dir}: set MIEN_DATA_DIR to a folder that this "
                "user may write to"
            )
        return self.data_dir

    @property
    def is_open(self) -> bool:
        """Whether others than this machine's own users may be served."""
        return self.public or bool(self.access_token)

    def check_bind(self, host: str) -> None:
        """Refuse to listen beyond this machine without a token or an explicit wish.

        Raises:
            SettingError: the address is not of this machine alone.
        """
        if not self.is_open and not is_loopback(host):
            raise SettingError(
                f"{host} can be reached from other machines: set MIEN_ACCESS_TOKEN to a secret "
                "that visitors must give, or allow everybody with --public (MIEN_PUBLIC=1)"
            )


def is_loopback(host: str) -> bool:
    """Whether an address belongs to this machine alone."""
    return host in {"localhost", "::1"} or host.startswith(("127.", "unix:"))


def _parse(variable: str, default: Any, text: str) -> Any:
    if isinstance(default, bool):
        word = text.strip().lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
        raise SettingError(f"expected {variable} to be 1 or 0, got {text!r}")
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise SettingError(f"expected {variable} to be a whole number, got {text!r}") from None
    return text.strip()
