"""Run the command line in this process or in a subprocess."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.app import app
from mien.testing import face_image
from mien.types import Box

_WITH_FAKES = """
import mien.cli.image
from mien.cli import main
from mien.testing import FakePipeline

mien.cli.image.FacePipeline = FakePipeline
main()
"""


class Ran:
    """Output and exit status of a command."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr


Mien = Callable[..., Ran]


@pytest.fixture
def mien() -> Mien:
    """Run ``mien ARGUMENTS…`` in this process with the given bytes on stdin."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def start_mien() -> Callable[..., "subprocess.Popen[str]"]:
    """Start ``mien image ARGUMENTS…`` with fake stages in a subprocess with pipes.

    The code `setup` runs before the command.
    """

    def start(*arguments: str | Path, setup: str = "") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", setup + _WITH_FAKES, *(str(a) for a in arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def quick(tiny_expression_model: Callable[..., Path]) -> list[str]:
    """Options that load little: a tiny expression model and the landmarks of the detector."""
    model = tiny_expression_model()
    return ["--model", str(model), "--landmarks", "detector", "--tiles", "off"]


@pytest.fixture(scope="session")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of four fake faces."""
    path = tmp_path_factory.mktemp("images") / "group.jpg"
    boxes = [(Box(left, 40, left + 80, 120), "happiness") for left in (20, 120, 220, 320)]
    Image.fromarray(face_image(boxes, (420, 160))).save(path, quality=95)
    return path
