#!/usr/bin/env python3
"""Run the steps of the Dockerfile without a Docker engine, in a Debian made by debootstrap.

The client stage uses the local Node; the other stage runs by chroot in a new Debian of the release
in the Dockerfile. At the end, the image's command runs as the image's user, until its health check
succeeds. Needs root, debootstrap and Node::

    sudo python tools/dockerfile_check.py [--keep FOLDER]
"""

import argparse
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Files of this machine that pip and apt need to reach their registries.
COPIED_FILES = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
PASSED_VARIABLES = re.compile(
    r"(?i)(https?_proxy|no_proxy|pip_.*|ssl_cert_file|requests_ca_bundle)"
)


@dataclass
class Stage:
    """A stage of the Dockerfile; all its files are below `root`."""

    name: str
    base: str
    root: Path
    workdir: str = "/"
    user: str = "root"
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    @property
    def is_debian(self) -> bool:
        return self.base.startswith("debian:")

    def run(self, command: str) -> None:
        print(f"  {self.name}: {command[:110]}", flush=True)
        if self.is_debian:
            subprocess.run([*self.inside(), "sh", "-ec", command], check=True)
        else:
            workdir = self.root / self.workdir.lstrip("/")
            subprocess.run(["sh", "-ec", command], cwd=workdir, check=True)

    def inside(self) -> list[str]:
        """The prefix of a command that runs in the stage's Debian with a clean environment."""
        kept = [f"{k}={v}" for k, v in os.environ.items() if PASSED_VARIABLES.fullmatch(k)]
        own = [f"{k}={v}" for k, v in self.environment.items()]
        path = [] if "PATH" in self.environment else ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        account = ["--userspec", f"{self.user}:{self.user}"]
        return ["env", "-i", *kept, *path, *own,
                "chroot", *account, str(self.root),
                "env", f"--chdir={self.workdir}"]  # fmt: skip

    def copy(self, sources: list[str], target: str, origin: Path) -> None:
        destination = self.root / (
            target if target.startswith("/") else f"{self.workdir}/{target}"
        ).lstrip("/")
        for pattern in sources:
            for found in glob.glob(str(origin / pattern.lstrip("/"))):
                if os.path.isdir(found):
                    shutil.copytree(found, destination, dirs_exist_ok=True, ignore=ignored_names)
                else:
                    destination.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(found, destination)


def ignored_names(folder: str, names: list[str]) -> set[str]:
    """The entries of .dockerignore that may occur in copied folders."""
    return {name for name in names if name in {"__pycache__", "node_modules", ".git"}}


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with joined lines and without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest.strip()) for word, _, rest in (x.partition(" ") for x in joined.split("\n"))
    ]


def build(folder: Path) -> Stage:
    """Execute every instruction and return the last stage."""
    stages: dict[str, Stage] = {}
    stage = Stage("", "", folder)
    for word, rest in instructions((ROOT / "Dockerfile").read_text()):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name or "image"] = Stage(
                name or "image", base, folder / (name or "image")
            )
            if stage.is_debian:
                make_debian(stage)
        elif word == "WORKDIR":
            stage.workdir = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "RUN":
            stage.run(rest)
        elif word == "COPY":
            *sources, target = shlex.split(rest)
            origin = ROOT
            if sources[0].startswith("--from="):
                origin = stages[sources.pop(0).removeprefix("--from=")].root
            stage.copy(sources, target, origin)
        elif word in {"ENV", "ARG"}:
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                before = stage.environment.get(name, "/usr/sbin:/usr/bin:/sbin:/bin")
                stage.environment[name] = value.replace(f"${name}", before)
        elif word == "USER":
            stage.user = rest
        elif word == "CMD":
            stage.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.health = json.loads(rest[rest.index("[") :])
    return stage


def make_debian(stage: Stage) -> None:
    release = stage.base.removeprefix("debian:").removesuffix("-slim")
    subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates", release, str(stage.root)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for name in COPIED_FILES:
        if Path(name).is_file():
            shutil.copy(name, stage.root / name.lstrip("/"))


def serve(stage: Stage) -> None:
    """Run the image's command as its user until its health check succeeds."""
    stage.environment |= {"PORT": "8197", "MIEN_ACCESS_TOKEN": "a token for this check only"}
    server = subprocess.Popen([*stage.inside(), *stage.command], start_new_session=True)
    try:
        for _ in range(120):
            time.sleep(1)
            health = subprocess.run(
                [*stage.inside(), *stage.health], capture_output=True, check=False
            )
            if health.returncode == 0:
                return
        raise SystemExit("expected the health check to succeed within two minutes")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", type=Path, help="work in this folder and keep it")
    keep = arguments.parse_args().keep
    folder = Path(keep or tempfile.mkdtemp(prefix="mien-docker-"))
    try:
        image = build(folder)
        assert image.user != "root", "expected the image to use another user than root"
        serve(image)
        files = (path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink())
        print(f"healthy; {sum(path.stat().st_size for path in files) / 1e6:.0f} MB unpacked")
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
