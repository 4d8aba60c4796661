"""Files that commands write never replace an input, nor a file of another kind."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.cli.app import COMMANDS

# Every option that names what is written, as the command before it.
FILES = {
    ("image", "--csv"): ".csv",
    ("evaluate", "--json"): ".json",
    ("evaluate", "--markdown"): ".md",
    ("adapt", "--out"): ".onnx",
    ("adapt", "--json"): ".json",
    ("summarize", "--html"): ".html",
}
PICTURE_FOLDERS = {("image", "--annotate"), ("image", "--crops"), ("explain", "--out")}
RESULT_FOLDERS = {("video", "--out"), ("live", "--record"), ("report", "--out")}
# Their folders are refused as a whole if they hold anything but an earlier run.
OTHER_FOLDERS = {("batch", "--out"), ("train", "--out"), ("export", "--out")}
# Names of files that are read.
READ = {
    *(("video", option) for option in ("--list", "--trials")),
    *(("report", option) for option in ("--video", "--trials")),
    ("evaluate", "--domains"),
}
MORE = {("evaluate", "--plots"), ("export-site", "folder")}


def test_each_option_that_names_a_file_is_known_here() -> None:
    found = set()
    for name, entry in COMMANDS.items():
        try:
            command = entry.load(name)
        except ImportError:
            continue
        for parameter in command.params:
            option, metavar = parameter.opts[-1], parameter.metavar or ""
            if metavar.startswith(("FILE", "FOLDER", "DIR")) or option == "--out":
                found.add((name, option))
    assert found <= {*FILES, *PICTURE_FOLDERS, *RESULT_FOLDERS, *OTHER_FOLDERS, *READ, *MORE}
    assert {*FILES, *PICTURE_FOLDERS} <= found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label in ("happy", "neutral"):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        Image.new("RGB", (48, 48), "gray").save(folder / "a.png")
    return tmp_path / "data"


def arguments(command: str, data: Path, tmp_path: Path, option: str) -> list[str | Path]:
    source = data / "happy" / "a.png" if command == "image" else data
    out: list[str | Path] = (
        ["--out", tmp_path / "x.onnx"] if command == "adapt" and option != "--out" else []
    )
    return [command, source, *out]


@pytest.mark.parametrize(("command", "option"), FILES)
@pytest.mark.parametrize("kind", ["input", "picture", "video", "renamed", "notes", "link"])
def test_a_file_of_another_kind_is_kept(
    mien: Any, data: Path, *, tmp_path: Path, command: str, option: str, kind: str
) -> None:
    ending = FILES[command, option]
    jpeg, mp4 = b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2"
    names = {
        "input": ("data/happy/a.png", None),
        "picture": ("other.jpg", jpeg),
        "video": ("clip.mp4", mp4),
        "renamed": (f"photo{ending}", jpeg),
        "notes": ("script.py", b"print(1)\n"),
        "link": (f"link{ending}", None),
    }
    name, content = names[kind]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    if kind == "link":
        path.symlink_to(data / "happy" / "a.png")
    before = path.read_bytes()
    ran = mien(*arguments(command, data, tmp_path, option), option, path)
    assert ran.status == 2
    message = " ".join(ran.stderr.split())
    assert f"{option}, got {path}" in message
    assert "choose another name" in message
    assert path.read_bytes() == before
    assert not (tmp_path / "x.onnx").exists()


def test_a_page_of_another_is_kept(mien: Any, data: Path, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    ran = mien("adapt", data, "--out", tmp_path / "x.onnx", "--report")
    assert ran.status == 2
    assert "--report, got" in ran.stderr


def test_a_model_is_not_replaced_by_what_is_made_from_it(
    mien: Any, data: Path, tiny_expression_model: Any
) -> None:
    model = tiny_expression_model()
    before = model.read_bytes()
    for value in (model, f"./{model}" if not model.is_absolute() else str(model)):
        assert mien("adapt", data, "--out", value, "--model", model).status == 2
    assert model.read_bytes() == before


def test_two_outputs_have_two_files(mien: Any, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.txt"
    ran = mien("evaluate", data, "--json", path, "--markdown", path)
    assert ran.status == 2
    assert "reads or writes otherwise" in " ".join(ran.stderr.split())
    assert not path.exists()


def test_a_table_and_a_domain_file_that_are_read_are_kept(mien: Any, tmp_path: Path) -> None:
    table = tmp_path / "faces.csv"
    table.write_text("image,expression\n")
    domains = tmp_path / "domains.md"
    domains.write_text("")
    assert mien("image", table, "--csv", table).status == 2
    assert mien("evaluate", "--domains", domains, "--markdown", domains).status == 2
    assert table.read_text() == "image,expression\n"


def test_own_files_are_replaced(mien: Any, data: Path, tmp_path: Path, quick: list[str]) -> None:
    table = tmp_path / "faces.csv"
    for _ in range(2):
        assert mien("image", data / "happy" / "a.png", "--csv", table, *quick).status == 0
    assert table.read_text().startswith("source,")
    assert mien("image", data / "happy" / "a.png", "--csv", "/dev/null", *quick).status == 0


@pytest.mark.parametrize(("command", "option"), sorted(PICTURE_FOLDERS))
def test_pictures_of_others_in_a_folder_are_kept(
    mien: Any, samples: dict[str, Path], *, tmp_path: Path, command: str, option: str, quick: Any
) -> None:
    photograph, out = tmp_path / "in" / "a.jpg", tmp_path / "out"
    for folder in (photograph.parent, out):
        folder.mkdir()
    shutil.copy(samples["person-a-smiling"], photograph)
    extra = ["--masks", "2"] if command == "explain" else []
    run = (command, photograph, option, out, *quick, *extra)
    assert mien(*run).status == 0
    assert mien(*run).status == 0  # its own picture is replaced
    (written,) = out.iterdir()
    Image.open(photograph).save(written)
    before = written.read_bytes()
    ran = mien(*run)
    assert ran.status == 2
    assert "would be overwritten" in " ".join(ran.stderr.split())
    assert written.read_bytes() == before


def test_another_input_is_not_replaced_by_an_annotated_image(
    mien: Any, samples: dict[str, Path], tmp_path: Path, quick: list[str]
) -> None:
    one, two = tmp_path / "one" / "x.jpg", tmp_path / "two" / "x.jpg"
    one.parent.mkdir()
    two.parent.mkdir()
    shutil.copy(samples["person-a-smiling"], one)
    assert mien("image", one, "--annotate", two.parent, *quick).status == 0
    before = two.read_bytes()  # written by mien, and now an input
    assert mien("image", one, two, "--annotate", two.parent, *quick).status == 2
    assert two.read_bytes() == before


def test_a_plot_is_not_written_over_a_picture(mien: Any, data: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "confusion.png")
    ran = mien("evaluate", data, "--plots", tmp_path)
    assert ran.status == 2
    assert "would be overwritten" in " ".join(ran.stderr.split())


def test_an_input_in_the_folder_of_results_is_kept(mien: Any, tmp_path: Path) -> None:
    clip, trials = tmp_path / "annotated.mp4", tmp_path / "trials.csv"
    clip.write_bytes(b"a video")
    trials.write_text("trial,onset_s\na,0\n")
    (tmp_path / "frames.jsonl").write_text("")
    over = ["--overwrite"]
    runs = (
        ["video", clip, "--out", tmp_path, *over],
        ["video", tmp_path / "b.mp4", "--trials", trials, "--out", tmp_path, *over],
        ["live", "--camera", clip, "--record", tmp_path, *over],
        ["report", tmp_path, "--video", clip, "--out", tmp_path, *over],
        ["report", tmp_path, "--trials", trials, "--out", tmp_path, *over],
    )
    for run in runs:
        ran = mien(*run)
        assert ran.status == 2, run
        assert "would be overwritten" in " ".join(ran.stderr.split()), run
    assert clip.read_bytes() == b"a video"
    assert trials.read_text() == "trial,onset_s\na,0\n"


@pytest.mark.parametrize("option", ["--annotate", "--crops"])
def test_a_file_in_place_of_a_folder_is_named(
    mien: Any, samples: dict[str, Path], tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_text("mine")
    ran = mien("image", samples["person-a-smiling"], option, tmp_path / "file")
    assert ran.status == 2
    assert f"expected a folder for {option}, got the file" in ran.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("option", ["--annotate", "--crops"])
@pytest.mark.parametrize("spelling", ["in", "in/../in", "link"])
def test_the_folder_of_the_originals_is_refused_before_any_work(
    mien: Any, samples: dict[str, Path], tmp_path: Path, *, option: str, spelling: str, quick: Any
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    Image.open(samples["person-a-smiling"]).save(folder / "a.webp")
    shutil.copy(samples["person-a-smiling"], folder / "b.jpg")
    ran = mien("image", folder, option, tmp_path / spelling, "--json", *quick)
    assert ran.status == 2
    assert f"a folder of its own for {option}, got" in " ".join(ran.stderr.split())
    assert ran.stdout == ""
    assert sorted(path.name for path in folder.iterdir()) == ["a.webp", "b.jpg"]
    # A folder in it is passed over by the search.
    assert mien("image", folder, option, folder / "out", *quick).status == 0


@pytest.mark.parametrize(
    ("words", "original"),
    [
        (["image", "--annotate"], "b.jpg"),
        (["image", "--crops"], "b-face1.jpg"),
        (["image", "--crops"], "B-FACE2-3.png"),
        (["explain", "--masks", "2", "--out"], "b.explained.png"),
    ],
)
def test_an_original_among_the_outputs_is_found_before_any_work(
    mien: Any, samples: dict[str, Path], tmp_path: Path, *, words: list[str], original: str
) -> None:
    inputs, out = tmp_path / "in", tmp_path / "out"
    for folder in (inputs, out):
        folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(samples["person-a-smiling"], inputs / name)
    Image.new("RGB", (8, 8)).save(out / original)
    before = (out / original).read_bytes()
    ran = mien(words[0], inputs / "a.jpg", inputs / "b.jpg", *words[1:], out)
    assert ran.status == 2
    assert f"{original} would be overwritten" in " ".join(ran.stderr.split())
    assert ran.stdout == ""
    assert [path.name for path in out.iterdir()] == [original]
    assert (out / original).read_bytes() == before


def test_a_neutral_photograph_is_not_replaced(
    mien: Any, samples: dict[str, Path], tmp_path: Path, quick: list[str]
) -> None:
    photograph, out = samples["person-a-smiling"], tmp_path / "out"
    assert mien("image", photograph, "--annotate", out, *quick).status == 0
    (written,) = out.iterdir()
    before = written.read_bytes()
    ran = mien("image", photograph, "--annotate", out, "--neutral", written)
    assert ran.status == 2
    assert written.read_bytes() == before
