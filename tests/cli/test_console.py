"""What a terminal shows of the texts of a user: labels, names of files, groups."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.progress import MofNCompleteColumn
from rich.table import Table

from mien.cli import console
from mien.cli.live import _Screen
from mien.media.images import read_image
from mien.media.sources import Frame
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, Step

# Rich's markup, which fails or vanishes, and one of its names of emoji.
MARKUP = ["good [/b]", r"\b [red]", "[link=x]y", ":smile:"]


@pytest.fixture
def bracket_model(tiny_expression_model: Any) -> Path:
    """A model with the label ``good [/b]`` for happiness."""
    path: Path = tiny_expression_model()
    path.write_bytes(path.read_bytes().replace(b"happiness", b"good [/b]"))
    return path


@pytest.mark.parametrize("text", MARKUP)
@pytest.mark.parametrize("stderr", [False, True])
def test_consoles_print_brackets_as_they_are(
    capsys: pytest.CaptureFixture[str], text: str, *, stderr: bool
) -> None:
    shown = console.progress_bars(MofNCompleteColumn()).console if stderr else None
    shown = shown or console.stdout_console()
    table = Table("a")
    table.add_row(text)
    shown.print(table)
    shown.print(text)
    captured = capsys.readouterr()
    assert (captured.err if stderr else captured.out).count(text) == 2


@pytest.mark.parametrize("text", MARKUP)
def test_a_bar_shows_its_label_as_it_is(text: str) -> None:
    for bars in (console.progress_bars(MofNCompleteColumn()), console.text_progress()):
        bars.add_task(text, total=2, text=text)
        file = io.StringIO()
        bars.console.file = file
        bars.console.print(bars.get_renderable())
        assert text in file.getvalue()


def test_labels_in_brackets_are_in_the_table(mien: Any, samples: Any, bracket_model: Path) -> None:
    options = ["--model", bracket_model, "--landmarks", "detector", "--tiles", "off"]
    ran = mien("image", samples["person-a-smiling"], *options)
    assert ran.status == 0, ran.stderr
    assert "good [/b]" in ran.stdout


def test_labels_in_brackets_are_in_the_live_table(bracket_model: Path, samples: Any) -> None:
    pytest.importorskip("lap", reason="tracking needs lapx")
    image = read_image(samples["person-a-smiling"])
    follower = FaceStream(FacePipeline(model=str(bracket_model), landmarks="detector"))
    result = follower.update(image, 0.0)
    screen = _Screen(None, json=False)
    with screen._console.capture() as captured:
        screen._console.print(screen._table(Step(Frame(image, 0.0, 0), result, ())))
    assert "good [/b]" in captured.get()
