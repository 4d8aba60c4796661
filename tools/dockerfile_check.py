#!/usr/bin/env python3
"""Prove the Dockerfile's steps where there is no Docker engine: in a bare Debian by debootstrap.

The client's stage runs with this machine's Node; the other one in a fresh Debian of the release
that the Dockerfile names, by chroot. At the end the image's own command serves as the image's own
user, and its health check asks it. Needs root, debootstrap and Node::

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
# What pip and apt need to reach their registries from inside, where this machine has them.
BORROWED = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
PASSED_ON = re.compile(r"(?i)(https?_proxy|no_proxy|pip_.*|ssl_cert_file|requests_ca_bundle)")


@dataclass
class Stage:
    """A stage of the Dockerfile while it is carried out; everything happens below `root`."""

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
            place = self.root / self.workdir.lstrip("/")
            subprocess.run(["sh", "-ec", command], cwd=place, check=True)

    def inside(self) -> list[str]:
        """The beginning of a command that runs in the stage's Debian, with nothing of ours."""
        kept = [f"{k}={v}" for k, v in os.environ.items() if PASSED_ON.fullmatch(k)]
        own = [f"{k}={v}" for k, v in self.environment.items()]
        path = [] if "PATH" in self.environment else ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        account = ["--userspec", f"{self.user}:{self.user}"]
        return ["env", "-i", *kept, *path, *own,
                "chroot", *account, str(self.root),
                "env", f"--chdir={self.workdir}"]  # fmt: skip

    def copy(self, sources: list[str], target: str, origin: Path) -> None:
        place = self.root / (
            target if target.startswith("/") else f"{self.workdir}/{target}"
        ).lstrip("/")
        for pattern in sources:
            for found in glob.glob(str(origin / pattern.lstrip("/"))):
                if os.path.isdir(found):
                    shutil.copytree(found, place, dirs_exist_ok=True, ignore=left_out)
                else:
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(found, place)


def left_out(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps away, so far as it lies in what is copied."""
    return {name for name in names if name in {"__pycache__", "node_modules", ".git"}}


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest.strip()) for word, _, rest in (x.partition(" ") for x in joined.split("\n"))
    ]


def carry_out(folder: Path) -> Stage:
    """Carry out every instruction; gives the last stage."""
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
        elif word == "ENV":
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
    for name in BORROWED:
        if Path(name).is_file():
            shutil.copy(name, stage.root / name.lstrip("/"))


def serve(stage: Stage) -> None:
    """The image's command as its user, asked by its own health check."""
    stage.environment |= {"PORT": "8197", "MIEN_ACCESS_TOKEN": "a token for this check alone"}
    server = subprocess.Popen([*stage.inside(), *stage.command], start_new_session=True)
    try:
        for _ in range(120):
            time.sleep(1)
            asked = subprocess.run(
                [*stage.inside(), *stage.health], capture_output=True, check=False
            )
            if asked.returncode == 0:
                return
        raise SystemExit("the health check never succeeded")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", type=Path, help="work in this folder, and leave it")
    keep = arguments.parse_args().keep
    folder = Path(keep or tempfile.mkdtemp(prefix="mien-docker-"))
    try:
        image = carry_out(folder)
        assert image.user != "root", "the image's process must not be root"
        serve(image)
        files = (path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink())
        print(
            f"served, healthy; {sum(path.stat().st_size for path in files) / 1e6:.0f} MB unpacked"
        )
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
