"""Every form of labeled data that people have, and what can be wrong with it."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.errors import DataError, ImageReadError
from mien.evaluation.dataset import FERPLUS_COLUMNS, LabeledSet
from mien.evaluation.readers import read_data
from mien.labels import Expression, own_labels
from mien.labels import labels_of as known_to


def save_picture(path: Path, level: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(np.full((48, 48), level, np.uint8)).save(path)


def write_csv(path: Path, rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def labels_of(data: LabeledSet) -> list[str | None]:
    return [data.labels[i].value if i >= 0 else None for i in data.label_index]


def pixels(level: int) -> str:
    return " ".join([str(level)] * 48 * 48)


def fer2013(folder: Path) -> Path:
    return write_csv(
        folder / "fer2013.csv",
        [
            ["emotion", "pixels", "Usage"],
            [0, pixels(1), "Training"],
            [3, pixels(2), "PublicTest"],
            [6, "1 2 3", "PrivateTest"],
            [4, pixels(4), "PrivateTest"],
        ],
    )


def votes(**by_name: int) -> list[object]:
    return [by_name.get(name, 0) for name in FERPLUS_COLUMNS]


def ferplus_table(folder: Path, usages: tuple[str, ...] = ("Training", "PublicTest")) -> Path:
    rows: list[list[object]] = [
        ["Usage", "Image name", *FERPLUS_COLUMNS],
        [usages[0], "fer0000000.png", *votes(sadness=9)],
        [usages[1], "fer0000001.png", *votes(happiness=9)],
        ["PrivateTest", "", *votes(NF=10)],
        # The number of the third picture is not that of its row.
        ["PrivateTest", "fer0000002.png", *votes(contempt=8)],
    ]
    return write_csv(folder / "fer2013new.csv", rows)


def test_fer2013_by_itself(tmp_path: Path) -> None:
    data = read_data(fer2013(tmp_path))
    assert labels_of(data) == ["anger", "happiness", "sadness"]
    assert data.split.tolist() == ["train", "valid", "test"]
    assert [int(data.load(i)[0, 0]) for i in range(3)] == [1, 2, 4]
    (reason,) = data.left_out
    assert data.left_out[reason] == ("row 2",)


def test_fer2013_with_votes_joins_by_row_order(tmp_path: Path) -> None:
    ferplus_table(tmp_path)
    data = read_data(fer2013(tmp_path))
    assert labels_of(data) == ["sadness", "happiness", "contempt"]
    assert int(data.load(2)[0, 0]) == 4
    assert data.votes is not None
    assert data.votes[2].tolist() == votes(contempt=8)


def test_own_labels_of_fer2013_where_there_are_votes(tmp_path: Path) -> None:
    ferplus_table(tmp_path)
    data = read_data(fer2013(tmp_path).parent, labeling="fer2013")
    assert labels_of(data) == ["anger", "happiness", "sadness"]


def test_rejects_votes_of_other_rows(tmp_path: Path) -> None:
    ferplus_table(tmp_path, usages=("PublicTest", "Training"))
    with pytest.raises(DataError, match="same order"):
        read_data(fer2013(tmp_path))


def test_rejects_votes_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        read_data(ferplus_table(tmp_path))


def test_ferplus_folders_with_a_label_file_each(tmp_path: Path) -> None:
    save_picture(tmp_path / "FER2013Train" / "fer0000005.png", 5)
    save_picture(tmp_path / "FER2013Valid" / "fer0000001.png", 1)
    box = "(0, 0, 48, 48)"
    write_csv(
        tmp_path / "FER2013Train" / "label.csv",
        [["fer0000004.png", box, *votes(anger=9)], ["fer0000005.png", box, *votes(fear=9)]],
    )
    # FER+'s own script writes no box.
    write_csv(tmp_path / "FER2013Valid" / "label.csv", [["fer0000001.png", *votes(disgust=9)]])
    data = read_data(tmp_path)
    assert labels_of(data) == ["fear", "disgust"]
    assert data.split.tolist() == ["train", "valid"]
    assert int(data.load(0).max()) == 5
    assert data.left_out == {"the file is missing": ("FER2013Train/fer0000004.png",)}


def test_ferplus_folders_join_by_name(tmp_path: Path) -> None:
    ferplus_table(tmp_path)
    save_picture(tmp_path / "FER2013Test" / "fer0000002.png", 7)
    data = read_data(tmp_path)
    assert labels_of(data) == ["contempt"]
    assert int(data.load(0).max()) == 7


def test_class_folders_in_any_spelling(tmp_path: Path) -> None:
    for name in ("happy/a.jpg", "Angry/b.PNG", "3_sad/deep/c.webp", "cats/d.jpg"):
        save_picture(tmp_path / name)
    (tmp_path / "happy" / "notes.txt").write_text("no picture")
    (tmp_path / "happy" / ".DS_Store").write_text("")
    data = read_data(tmp_path)
    by_name = dict(zip(data.names, labels_of(data), strict=True))
    assert by_name == {
        "happy/a.jpg": "happiness",
        "Angry/b.PNG": "anger",
        "3_sad/deep/c.webp": "sadness",
    }
    assert data.left_out == {
        "the folder names no expression": ("cats",),
        "the file is no picture by its ending": ("happy/notes.txt",),
    }


def test_class_folders_below_splits_and_columns_beside_them(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "fear" / "1.png")
    save_picture(tmp_path / "val" / "fear" / "2.png")
    rows: list[list[object]] = [["picture", "light"], ["1", "dim"], ["9", "bright"]]
    write_csv(tmp_path / "info.csv", rows)
    data = read_data(tmp_path)
    assert data.split.tolist() == ["train", "valid"]
    assert data.columns["light"].tolist() == ["dim", ""]
    assert data.columns["subject"].tolist() == ["1", "2"]
    rows[0][1] = "Subject"  # whose names are better than those of files
    write_csv(tmp_path / "info.csv", rows)
    assert read_data(tmp_path).columns.keys() == {"Subject"}


def test_table_of_photographs(tmp_path: Path) -> None:
    save_picture(tmp_path / "photos" / "a.png", 9)
    path = write_csv(
        tmp_path / "table.csv",
        [
            ["image", "expression", "split", "camera", "x_min", "y_min", "x_max", "y_max", "group"],
            ["photos/a.png", "Happy", "training", "phone", 1, 2, 30, 40, "p"],
            ["photos/b.png", "sad", "", "webcam", "", "", "", "", "p"],
            [],
            ["photos/c.png", "bored", "", "webcam", "", "", "", "", "q"],
            [""] * 9,
            ["photos/d.png", "sad"],
        ],
    )
    data = read_data(path.rename(path.with_suffix(".tsv")))
    assert labels_of(data) == ["happiness", "sadness"]
    assert data.split.tolist() == ["train", ""]
    assert data.columns.keys() == {"camera"}
    assert data.group is not None
    assert data.group[0] == data.group[1]
    assert data.boxes_xyxy is not None
    assert data.boxes_xyxy[0].tolist() == [1, 2, 30, 40]
    assert np.isnan(data.boxes_xyxy[1]).all()
    assert int(data.load(0).max()) == 9
    assert data.left_out == {
        "the label 'bored' is no expression": ("photos/c.png",),
        "the row is shorter or longer than the header": ("line 7",),
    }
    with pytest.raises(ImageReadError, match=r"b\.png"):
        data.load(1)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image;expression;group\nin/a.png;happy;1\nin/a.png; sad;\nin/a.png;sad;\n", "utf-8-sig"),
        ("\nSEP=|\n\nimage|label|group\nin/a.png|happy|1\nin/a.png|sad|\nin/a.png|sad|", "utf-8"),
        ("image\tlabel\tgroup\nin\\a.png\thappy\t1\nin/a.png\tsad\t\nin/a.png\tsad\t", "utf-16"),
    ],
)
def test_tables_of_spreadsheets(tmp_path: Path, text: str, encoding: str) -> None:
    save_picture(tmp_path / "in" / "a.png", 9)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    data = read_data(tmp_path / "t.csv")
    assert labels_of(data) == ["happiness", "sadness", "sadness"]
    assert [int(data.load(index).max()) for index in range(3)] == [9, 9, 9]
    # Two rows of unknown groups are not one group.
    assert data.group is not None
    assert len(set(data.group.tolist())) == 3


def test_folders_of_persons_above_those_of_labels(tmp_path: Path) -> None:
    for name in ("p1/happy/a.png", "p1/bored/b.png", "p2/Happy/a.png", "p2/bored/c.png"):
        save_picture(tmp_path / name)
    data = read_data(tmp_path, read_labels=own_labels)
    assert labels_of(data) == ["bored", "happiness", "happiness", "bored"]
    assert data.columns["subject"].tolist() == ["p1", "p1", "p2", "p2"]
    assert data.left_out == {}


def test_folders_of_persons_with_labels_of_a_model(tmp_path: Path) -> None:
    for name in ("p1/bored/a.png", "p1/tired/b.png", "p2/bored/a.png"):
        save_picture(tmp_path / name)
    data = read_data(tmp_path, read_labels=known_to(own_labels(["bored", "tired"]).values()))
    assert labels_of(data) == ["bored", "tired", "bored"]
    assert data.columns["subject"].tolist() == ["p1", "p1", "p2"]
    with pytest.raises(DataError, match="p1 and bored in it may both be labels: put the pictures"):
        read_data(tmp_path, read_labels=own_labels)
    save_picture(tmp_path / "p1" / "c.png")
    assert set(labels_of(read_data(tmp_path, read_labels=own_labels))) == {"p1", "p2"}


@pytest.mark.parametrize("inner", ["none", 64 * "a"])
def test_folders_in_those_of_labels_need_no_names_of_labels(tmp_path: Path, inner: str) -> None:
    for name in (f"bored/{inner}/a.png", f"tired/{inner}/b.png", "tired/x/c.png"):
        save_picture(tmp_path / name)
    assert labels_of(read_data(tmp_path, read_labels=own_labels)) == ["bored", "tired", "tired"]
    # Nor can such an outer name be that of a label.
    for person in ("p" * 61, "q" * 61):
        save_picture(tmp_path / "people" / person / "bored" / "a.png")
        save_picture(tmp_path / "people" / person / "tired" / "a.png")
    data = read_data(tmp_path / "people", read_labels=own_labels)
    assert labels_of(data) == ["bored", "tired"] * 2


def test_folder_with_labels_csv(tmp_path: Path) -> None:
    write_csv(tmp_path / "labels.csv", [["image", "expression"], ["a.jpg", "neutral"]])
    data = read_data(tmp_path)
    assert data.counts()[Expression.NEUTRAL] == 1
    assert data.name == tmp_path.name


def no_such_path(folder: Path) -> Path:
    return folder / "nowhere"


def empty_folder(folder: Path) -> Path:
    return folder


def empty_class_folder(folder: Path) -> Path:
    (folder / "happy").mkdir()
    return folder


def other_file(folder: Path) -> Path:
    (folder / "data.txt").write_text("text")
    return folder / "data.txt"


def other_columns(folder: Path) -> Path:
    return write_csv(folder / "a.csv", [["name", "age"], ["x", 3]])


def empty_table(folder: Path) -> Path:
    (folder / "a.csv").write_text("")
    return folder / "a.csv"


def only_unknown_labels(folder: Path) -> Path:
    return write_csv(folder / "a.csv", [["image", "expression"], ["x.jpg", "bored"]])


def two_label_columns(folder: Path) -> Path:
    rows: list[list[object]] = [["image", "label", "expression"], ["x.jpg", "happy", "sad"]]
    return write_csv(folder / "a.csv", rows)


def no_pixels(folder: Path) -> Path:
    return write_csv(folder / "f.csv", [["emotion", "pixels", "Usage"], [1, "a b", "Training"]])


def binary_table(folder: Path) -> Path:
    (folder / "a.csv").write_bytes(b"\xff\xfe\x00\x81")
    return folder / "a.csv"


@pytest.mark.parametrize(
    "make",
    [
        no_such_path,
        empty_folder,
        empty_class_folder,
        other_file,
        other_columns,
        empty_table,
        only_unknown_labels,
        two_label_columns,
        no_pixels,
        binary_table,
    ],
)
def test_names_unusable_inputs(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError, match=r"expected") as error:
        read_data(path)
    assert str(path) in str(error.value)
