"""The command line as a whole: commands, help, errors."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mien as package
from mien.cli import app as app_module
from mien.cli.app import COMMANDS, _LazyCommand, app
from mien.errors import (
    CameraError,
    DownloadError,
    ImageReadError,
    MienError,
    MissingExtraError,
    ModelNotFoundError,
    ProviderError,
    SettingError,
    counted,
)


def test_version(mien: Any) -> None:
    ran = mien("--version")
    assert ran.status == 0
    assert ran.stdout == f"mien {package.__version__}\n"


def test_python_dash_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mien", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"mien {package.__version__}\n"


def test_help_lists_commands_without_importing_them() -> None:
    script = """
import sys
from typer.testing import CliRunner
from mien.cli.app import app
print(CliRunner().invoke(app, ["--help"]).stdout)
heavy = {"cv2", "onnxruntime", "PIL.Image", "torch", "flask", "av", "mien.pipeline"}
sys.exit(", ".join(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
    for name, command in COMMANDS.items():
        assert f" {name} " in done.stdout
        assert command.help[:30] in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(mien: Any, name: str) -> None:
    ran = mien(name, "--help")
    assert ran.status == 0
    assert f"Usage: mien {name}" in ran.stdout or f"{name} [OPTIONS]" in ran.stdout


def test_without_arguments_shows_help(mien: Any) -> None:
    assert "image" in mien().stdout


def test_rejects_unknown_command(mien: Any) -> None:
    ran = mien("imagine")
    assert ran.status == 2
    assert "imagine" in ran.stderr


def test_missing_extra_error_names_the_extra(mien: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = _LazyCommand("a_package_that_does_not_exist.cli:app", "A probe.", extra="probing")
    monkeypatch.setitem(COMMANDS, "probe", probe)
    ran = mien("probe")
    assert ran.status == 2
    assert "pip install 'mien[probing]'" in ran.stderr
    assert "a_package_that_does_not_exist is needed to use `mien probe`" in ran.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageReadError("a.jpg: not an image [really]"), 1),
        (DownloadError("connection lost"), 1),
        (CameraError("camera 0 disconnected"), 1),
        (SettingError("expected one thing, got another"), 2),
        (ModelNotFoundError("expected a model"), 2),
        (ProviderError("no such provider"), 2),
        (MissingExtraError("torch", "train", "train"), 2),
        (PermissionError(13, "Permission denied", "out.csv"), 1),
        (BrokenPipeError(), 141),
        (KeyboardInterrupt(), 130),
    ],
)
def test_reports_errors_in_one_line_with_exit_status(
    mien: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(app_module._LazyCommand, "load", lambda self, name: fail(name))
    monkeypatch.setattr(app_module, "_discard_stdout", lambda: None)
    ran = mien("image", "a.jpg")
    assert ran.status == status
    if isinstance(error, MienError):
        assert ran.stderr == f"Error: {error}\n"
    if isinstance(error, PermissionError):
        assert ran.stderr == "Error: out.csv: Permission denied\n"


def test_does_not_hide_unexpected_exceptions(mien: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: _LazyCommand, name: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app_module._LazyCommand, "load", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        mien("image", "a.jpg")


def completed(words: str, number: int) -> list[str]:
    environment = {
        "_MIEN_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(number),
    }
    return CliRunner().invoke(app, env=environment, prog_name="mien").stdout.split()


def test_shell_completion_offers_commands_and_choices() -> None:
    assert completed("mien im", 1) == ["image"]
    assert completed("mien image --tiles ", 3) == ["auto", "off"]


def test_unknown_environment_variables_are_named(
    mien: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIEN_DETECTR", "MIEN_NOSUCH", "MIEN_DATA_DIR", "MIEN_PUBLIC", "MIEN_TILES"):
        monkeypatch.setenv(name, "")
    ran = mien("schema")
    assert ran.status == 0
    assert ran.stderr.splitlines() == [
        "Warning: the environment variable MIEN_DETECTR is unknown and has no effect: did you mean "
        "MIEN_DETECTOR?",
        "Warning: the environment variable MIEN_NOSUCH is unknown and has no effect: mien settings "
        "lists them",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["image", "x.jpg", "--detector", "yunet:"], "the path of a YuNet file after yunet:"),
        (["image", "x.jpg", "--prior", "nope"], "a JSON file, got 'nope', which is no readable"),
        (["live", "--yes", "--camera", "rtsp://127.0.0.1:1/x"], "(rtsp://USER:PASSWORD@HOST:554/"),
        (["live", "--yes", "--camera", "-1"], "number of a camera from 0 to 99, got -1"),
        (["live", "--yes", "--camera", f"{10**19}"], "number of a camera from 0 to 99, got 1000"),
        (["live", "--yes", "--camera", "9" * 5000], "File name too long"),
    ],
)
def test_messages_say_what_to_do(mien: Any, words: list[str], expected: str) -> None:
    ran = mien(*words)
    assert ran.status in {1, 2}
    assert expected in " ".join(ran.stderr.split())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[1]", "holds no object"),
        ("{}", 'give each a share above 0, as in {"neutral": 0.5, "happiness": 0.2, …}'),
        ('{"nosuch": 1}', "'nosuch' is no expression; the model has neutral, happiness"),
        ('{"neutral": "much"}', 'as in {"neutral": 0.5, "happiness": 0.2, …}'),
        ("neutral", "is not valid JSON"),
    ],
)
def test_priors_that_are_none(mien: Any, tmp_path: Any, content: str, expected: str) -> None:
    (tmp_path / "prior.json").write_text(content)
    ran = mien("image", "x.jpg", "--prior", tmp_path / "prior.json")
    assert ran.status == 2
    assert expected in " ".join(ran.stderr.split())


def test_ctrl_c_while_a_command_is_imported_ends_it_silently() -> None:
    script = """
import os, signal
from mien.cli import main
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "mien.cli.image":
            os.kill(os.getpid(), signal.SIGINT)
import sys
sys.meta_path.insert(0, Slow())
sys.argv = ["mien", "image", "x.jpg"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-2, b"")
    # Before that, nothing is imported that takes long.
    entry = "import sys, mien.cli; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", entry], check=True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("image", "x.jpg", "--neutral", "a.jpg", "--neutral", "b.jpg"), "expected --neutral once"),
        (("image", "x.jpg", "--model=quick", "--model", "both"), "once, got it 2 times"),
        (("models", "add", "a", "b", "--spec", "c", "--spec=d"), "expected --spec once"),
        (("image", "x.jpg", "--draw", "mesh"), "expected --annotate FOLDER together with --draw"),
        (("image", "x.jpg", "--min-score", "nine"), "image --help"),
        (("image", "x.jpg", "--nosuch"), "No such option: --nosuch; see"),
        (("--nosuch",), "No such option: --nosuch"),
        (("models", "nosuch"), "No such command"),
        (("imgae", "x.jpg"), "got 'imgae': did you mean mien image?"),
        (("x.jpg", "--json"), "mien image x.jpg or mien video x.jpg --out FOLDER?"),
        (("predict", "x.jpg"), "train, export; see mien --help"),
    ],
)
def test_errors_of_usage_are_one_line(mien: Any, args: tuple[str, ...], message: str) -> None:
    ran = mien(*args)
    assert ran.status == 2
    assert ran.stderr.startswith("Error: ")
    assert message in " ".join(ran.stderr.split())
    assert "Usage" not in ran.stderr


def test_one_is_not_plural() -> None:
    assert [counted(n, "face") for n in (0, 1, 2000)] == ["0 faces", "1 face", "2,000 faces"]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("pyarrow", ["video", "a.mp4", "b.mp4", "--parquet", "--out", "out"]),
        ("pyarrow", ["report", "recording", "--parquet", "--out", "out"]),
        ("av", ["video", "a.mp4", "b.mp4", "--out", "out"]),
        ("matplotlib", ["evaluate", "data", "--plots", "out"]),
    ],
)
def test_a_missing_extra_is_named_once_before_any_work(
    mien: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, module: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    ran = mien(*words)
    assert ran.status == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"Error: {module} is needed to ")
    assert not [path for path in tmp_path.rglob("out/*") if path.name != ".lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells close streams")
@pytest.mark.parametrize(
    ("redirected", "status"),
    [("settings >&-", 0), ("image - <&-", 1), ("nosuch 2>&-", 2), ("--version >/dev/full", 1)],
)
def test_closed_streams_and_full_disks_are_no_tracebacks(redirected: str, status: int) -> None:
    command = f"{sys.executable} -m mien {redirected}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_help_into_a_closed_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mien", "image", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
