"""Settings of the web application: from the environment, overridden by the command line."""

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.config import data_folder
from mien.errors import SettingError
from mien.reader import check, read_environment, setting

_HAS_AFFINITY = hasattr(os, "sched_getaffinity")
MEGABYTE = 1024 * 1024
_RESERVED_THREADS = 16
_CLUSTER_JOBS = 4
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:\d+)?|https?://\[[0-9a-f:.]+\](:\d+)?")
_HOST_NAME = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]")


def _setting(default: Any, variable: str, description: str, **facts: Any) -> Any:
    return setting(default, description, env=variable, **facts)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Settings of the web application.

    Raises:
        SettingError: a value is invalid.
    """

    host: str = _setting("127.0.0.1", "MIEN_HOST", "Address to listen on.")
    port: int = _setting(8000, "PORT", "Port to listen on.", low=0, high=65_535)
    public: bool = _setting(
        False, "MIEN_PUBLIC", "Serve everyone who can reach the port, without an access token."
    )
    access_token: str = _setting(
        "", "MIEN_ACCESS_TOKEN", "Token that visitors must enter, at least 12 characters."
    )
    allowed_hosts: str = _setting(
        "", "MIEN_ALLOWED_HOSTS",
        "Host names under which others may reach the server, separated by commas; "
        "`.example.org` includes subdomains. By default any name.",
    )  # fmt: skip
    cors_origins: str = _setting(
        "", "MIEN_CORS_ORIGINS",
        "Origins of other sites whose pages may use the API, such as `https://app.example.org`, "
        "separated by commas; `*` for any.",
    )  # fmt: skip
    embed_origins: str = _setting(
        "", "MIEN_EMBED_ORIGINS",
        "Origins of other sites that may show the live page in a frame and get its results, "
        "separated by commas.",
    )  # fmt: skip
    webhook_hosts: str = _setting(
        "*", "MIEN_WEBHOOK_HOSTS",
        "Hosts that may receive webhooks of finished jobs, separated by commas; `*` is any "
        "host with public addresses, a named one may have private addresses and no https. Empty "
        "for none.",
    )  # fmt: skip
    metrics_token: str = _setting(
        "", "MIEN_METRICS_TOKEN",
        "Bearer token for `/metrics`, which `MIEN_PUBLIC` does not open; at least 12 characters.",
    )  # fmt: skip
    secret_key: str = _setting(
        "", "MIEN_SECRET_KEY", "Signs cookies; by default a random key in the data folder."
    )
    database_url: str = _setting(
        "", "DATABASE_URL", "PostgreSQL database; by default SQLite in the data folder."
    )
    jobs: str = _setting(
        "inline", "MIEN_JOBS",
        "Where video jobs run: `inline`, in the web process; `worker`, in separate workers only.",
        choices=("inline", "worker"),
    )  # fmt: skip
    ray_address: str = _setting(
        "", "MIEN_RAY_ADDRESS",
        "Ray cluster that analyzes the videos of jobs, such as `ray://head:10001`; needs the extra "
        "`cluster`. By default the process that works on the job.",
    )  # fmt: skip
    camera: str = _setting(
        "", "MIEN_CAMERA", "Camera of the server: a number, an rtsp:// address or a video file."
    )
    live: str = _setting(
        "both", "MIEN_LIVE",
        "Where the live and photo pages analyze pictures: `device`, in the visitor's browser; "
        "`server`; `both`, in the browser unless the visitor chooses the server.",
        choices=("both", "device", "server"),
    )  # fmt: skip
    proxies: int = _setting(
        0, "MIEN_PROXIES", "Number of reverse proxies whose forwarded headers are trusted.",
        low=0, high=5,
    )  # fmt: skip
    workers: str = _setting(
        "1", "MIEN_WORKERS",
        "Processes that serve: a number, or `auto` for one for each core.",
    )  # fmt: skip
    threads: int = _setting(
        64, "MIEN_WEB_THREADS", "Threads that serve requests; each live connection occupies one.",
        low=20, high=512,
    )  # fmt: skip
    max_live: int = _setting(
        40, "MIEN_MAX_LIVE", "Maximum number of live streams; more are refused.",
        low=1, high=496,
    )  # fmt: skip
    max_image_mb: int = _setting(
        20, "MIEN_MAX_IMAGE_MB", "Maximum size of a photograph in MB.", low=1, high=200
    )
    max_video_mb: int = _setting(
        50, "MIEN_MAX_VIDEO_MB", "Maximum size of a video in MB.", low=1, high=50
    )
    max_stored_mb: int = _setting(
        2_000, "MIEN_MAX_STORED_MB",
        "Maximum size of all stored videos, results and sessions in MB; more are refused.",
        low=1, high=1_000_000,
    )  # fmt: skip
    max_video_s: int = _setting(
        600, "MIEN_MAX_VIDEO_S", "Maximum length of a video in seconds.", low=1, high=36_000
    )
    result_hours: int = _setting(
        24, "MIEN_RESULT_HOURS", "Hours after which results of videos are deleted, unless kept.",
        low=1, high=8_760,
    )  # fmt: skip
    session_days: int = _setting(
        30,
        "MIEN_SESSION_DAYS",
        "Days after which recorded sessions are deleted.",
        low=1,
        high=3_650,
    )
    share_days: int = _setting(
        7, "MIEN_SHARE_DAYS",
        "Days for which a link to a session or a video works for others; 0 for no such links.",
        low=0, high=365,
    )  # fmt: skip
    docs_dir: str = _setting(
        "", "MIEN_DOCS_DIR",
        "Folder of the documentation's site, to which the pages then link; `make docs` builds it "
        "in `build/site`.",
    )  # fmt: skip
    rate_limits: bool = _setting(
        True, "MIEN_RATE_LIMITS", "Limit the request rate of each address."
    )
    data_dir: Path = field(default_factory=data_folder, metadata={"env": ""})

    def __post_init__(self) -> None:
        check(self, error=SettingError)
        for variable, token in (
            ("MIEN_ACCESS_TOKEN", self.access_token),
            ("MIEN_METRICS_TOKEN", self.metrics_token),
        ):
            if token and len(token) < 12:
                raise SettingError(
                    f"expected {variable} to have at least 12 characters, got {len(token)}: "
                    "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
                )
        origins = "origins with a scheme and without a path, such as https://app.example.org"
        hosts = "host names without scheme and port"
        for variable, names, pattern, expected in (
            ("MIEN_ALLOWED_HOSTS", self.host_names, _HOST_NAME,
             f"{hosts}, such as faces.example.org,.example.com"),
            ("MIEN_CORS_ORIGINS", self.origins, _ORIGIN, origins),
            ("MIEN_EMBED_ORIGINS", self.embedding_origins, _ORIGIN, origins),
            ("MIEN_WEBHOOK_HOSTS", _parts(self.webhook_hosts), _HOST_NAME, f"* or {hosts}"),
        ):  # fmt: skip
            for name in names:
                any_is_meant = name == "*" and variable in {
                    "MIEN_CORS_ORIGINS",
                    "MIEN_WEBHOOK_HOSTS",
                }
                if not any_is_meant and not pattern.fullmatch(name):
                    raise SettingError(f"expected {variable} to be {expected}, got {name!r}")
        if self.max_live > self.threads - _RESERVED_THREADS:
            raise SettingError(
                f"expected MIEN_MAX_LIVE to be at least {_RESERVED_THREADS} below "
                f"MIEN_WEB_THREADS, so that pages are served while all live streams are in use, "
                f"got {self.max_live} and {self.threads}"
            )

        if self.worker_count > 1 and self.camera:
            raise SettingError(
                "expected one process (--workers 1) with --camera, which only one process can "
                f"open, got {self.worker_count}"
            )
        if self.docs_dir and not (self.docs_path / "index.html").is_file():
            raise SettingError(
                "expected MIEN_DOCS_DIR to be a folder with index.html, which `make docs` writes, "
                f"got {self.docs_dir!r}"
            )
        # A missing file is reported at the start, not on the camera page.
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
            SettingError: a value is invalid.
        """
        environment = os.environ if environment is None else environment
        values = read_environment(cls, environment, error=SettingError)
        # On Heroku, which sets this variable, all requests come through one proxy, its router.
        if "DYNO" in environment:
            values.setdefault("proxies", 1)
            values.setdefault("host", "0.0.0.0")
        values.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**values)

    def ready_data_dir(self) -> Path:
        """The data folder, private to this user.

        Raises:
            SettingError: the folder is not writable.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(self.data_dir)
            usable = os.access(self.data_dir, os.W_OK | os.X_OK)
        except OSError:
            usable = False
        if not usable:
            raise SettingError(
                f"the data folder {self.data_dir} is not writable: set MIEN_DATA_DIR to a folder "
                "that this user may write to"
            )
        return self.data_dir

    @property
    def docs_path(self) -> Path:
        """The folder of the documentation's site."""
        return Path(self.docs_dir)

    @property
    def worker_count(self) -> int:
        """The number of processes.

        Raises:
            SettingError: `workers` is neither a number nor `auto`.
        """
        if self.workers == "auto":
            return min(len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count() or 1, 64)
        if self.workers.isascii() and self.workers.isdecimal() and 1 <= int(self.workers) <= 64:
            return int(self.workers)
        raise SettingError(
            f"expected --workers (MIEN_WORKERS) to be auto or 1 to 64, got {self.workers!r}"
        )

    @property
    def job_threads(self) -> int:
        """How many jobs a process works on at once; more where it only waits for a cluster."""
        return _CLUSTER_JOBS if self.ray_address else 1

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names of `allowed_hosts` in lower case; empty where any is allowed."""
        return _parts(self.allowed_hosts)

    def allows_host(self, host: str) -> bool:
        """Whether requests for a host name, without its port, are answered."""
        return not self.host_names or _is_among(host, self.host_names)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return _parts(self.cors_origins)

    @property
    def embedding_origins(self) -> tuple[str, ...]:
        """The origins of `embed_origins`."""
        return _parts(self.embed_origins)

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of another origin may use the API."""
        return "*" in self.origins or origin.lower() in self.origins

    def webhook_host(self, host: str) -> str | None:
        """Whether a host may get webhooks: "any" address of it, or a "public" one only."""
        names = _parts(self.webhook_hosts)
        if _is_among(host, names):
            return "any"
        return "public" if "*" in names else None

    @property
    def is_open(self) -> bool:
        """Whether clients of other machines may be served."""
        return self.public or bool(self.access_token)

    def check_bind(self, host: str) -> None:
        """Refuse to listen for other machines without a token or ``public``.

        Raises:
            SettingError: the address can be reached from other machines.
        """
        if not self.is_open and not is_loopback(host):
            raise SettingError(
                f"{host} can be reached from other machines: set MIEN_ACCESS_TOKEN to a secret "
                "that visitors must enter, or allow everyone with --public (MIEN_PUBLIC=1)"
            )


def _make_private(folder: Path) -> None:
    """Take a folder and the server's files in it from other users, if it is this user's.

    A folder with the sticky bit, such as /tmp, and a home folder are shared on purpose.
    """
    status = folder.stat()
    own = hasattr(os, "getuid") and status.st_uid == os.getuid()
    if not own or status.st_mode & stat.S_ISVTX or folder.resolve() in {Path.home(), Path("/")}:
        return
    if stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
    for path in (*folder.glob("mien.sqlite*"), folder / "secret_key"):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                path.chmod(0o600)


def _parts(text: str) -> tuple[str, ...]:
    parts = (part.strip().lower() for part in text.split(","))
    return tuple(part for part in parts if part)


def _is_among(host: str, names: tuple[str, ...]) -> bool:
    """Whether a host has one of the names; one that starts with a dot includes subdomains."""
    host = host.lower().rstrip(".")
    return any(
        host == name or (name.startswith(".") and f".{host}".endswith(name)) for name in names
    )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    return host in {"localhost", "::1"} or host.startswith(("127.", "unix:"))


def network_of(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 one, of which a subscriber has all addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
