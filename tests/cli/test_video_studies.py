"""``mien video`` on folders, lists, numbered pictures and trials, with fake stages."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from mien.cli.app import app
from mien.testing import FakeLandmarks, FakePipeline, face_frames

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")


@pytest.fixture(autouse=True)
def _fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.cli.video.FacePipeline", FakePipeline)
    monkeypatch.setattr(
        "mien.applications.FacePipeline",
        lambda settings, classifier: FakePipeline(settings, classifier=classifier),
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """A folder with two clips of two seconds; the second one has a twin in a subfolder."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "late").mkdir()
    write_clip(folder / "a.mp4", face_frames(20, frame_rate=10))
    happy = face_frames(20, frame_rate=10, expressions=["happiness"])
    write_clip(folder / "late" / "a.mp4", happy)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(*words: Any, status: int = 0) -> Any:
    result = CliRunner().invoke(app, ["video", *map(str, words)])
    assert result.exit_code == status, result.output
    return result


def test_says_where_the_tables_of_all_clips_are(clips: Path, tmp_path: Path) -> None:
    printed = run(clips, "--out", tmp_path, "--no-annotate", "--fps", 1).stdout
    *_, last = printed.splitlines()
    assert last == f"all clips: clips.csv, faces.csv, tracks.csv and others in {tmp_path}"
    assert {"clips.csv", "faces.csv", "tracks.csv"} <= {path.name for path in tmp_path.iterdir()}
    one = run(clips / "a.mp4", "--out", tmp_path / "one", "--no-annotate", "--fps", 1).stdout
    assert "all clips" not in one


def test_a_folder_becomes_a_subfolder_for_each_clip_and_combined_tables(
    clips: Path, tmp_path: Path
) -> None:
    result = run(clips, "--out", tmp_path, "--no-annotate", "--json")
    assert [json.loads(line)["clip"] for line in result.stdout.splitlines()] == [
        "a.mp4",
        "late/a.mp4",
    ]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a", "late-a"]
    assert [row["clip"] for row in rows(tmp_path / "tracks.csv")] == ["a.mp4", "late/a.mp4"]
    assert [row["analyzed_frames"] for row in rows(tmp_path / "clips.csv")] == ["20", "20"]
    assert len(rows(tmp_path / "faces.csv")) == 40
    assert not (tmp_path / "groups.csv").exists()


def test_a_list_adds_its_columns_and_groups_sum_by_them(clips: Path, tmp_path: Path) -> None:
    table = clips / "list.csv"
    table.write_text(
        "clip;participant;score;time_offset_s\na.mp4;P1;3;\nlate/a.mp4;P1;4;100\nno.mp4;P2;5;\n"
    )
    out = tmp_path / "out"
    words = ["--list", table, "--out", out, "--no-annotate", "--group", "participant"]
    result = run(*words, status=1)
    assert "no.mp4" in result.stderr
    assert "1 of 3 clips failed" in result.stderr
    tracks = rows(out / "tracks.csv")
    assert [(row["participant"], row["score"]) for row in tracks] == [("P1", "3"), ("P1", "4")]
    # The table of faces has a column score of its own.
    assert {row["list_score"] for row in rows(out / "faces.csv")} == {"3", "4"}
    one, two = rows(out / "groups.csv")
    assert (one["participant"], one["clips"], one["tracks"]) == ("P1", "2", "2")
    seconds = [float(row["visible_s"]) for row in tracks]
    shares = [float(row["share_happiness"]) for row in tracks]
    expected = sum(s * t for s, t in zip(shares, seconds, strict=True)) / sum(seconds)
    assert float(one["share_happiness"]) == pytest.approx(expected, abs=1e-3)
    # Nothing was measured of a group whose only clip failed.
    assert (two["participant"], two["clips"], two["frames"], two["blinks"]) == ("P2", "0", "", "")
    status = {row["clip"]: (row["status"], row["frames"]) for row in rows(out / "clips.csv")}
    assert status["no.mp4"] == ("failed", "")
    late = [row for row in rows(out / "events.csv") if row["clip"] == "late/a.mp4"]
    assert float(late[0]["onset_s"]) == 100.0


def test_a_run_in_which_every_clip_fails_leaves_nothing_to_overwrite(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    (study / "late").mkdir(parents=True)
    # As Excel saves "Unicode text".
    text = "Clip\tday\nlate/first.mp4\t1\nsecond.mp4\t2\n"
    (study / "list.csv").write_text(text, encoding="utf-16")
    words = ["--list", "list.csv", "--out", out, "--no-annotate"]
    monkeypatch.chdir(study)
    result = run(*words, status=1)
    assert "2 of 2 clips failed" in result.stderr
    assert "all clips" not in result.stdout
    assert not any(out.iterdir())
    for name in ("late/first.mp4", "second.mp4"):
        shutil.copy(clips / "a.mp4", name)
    run(*words)
    found = [(row["folder"], row["status"]) for row in rows(out / "clips.csv")]
    # The same names as of a list that is not in the working folder.
    assert found == [("late-first", "complete"), ("second", "complete")]


def test_an_unknown_group_is_refused_before_anything_is_analyzed(
    clips: Path, tmp_path: Path
) -> None:
    result = run(clips, "--out", tmp_path / "out", "--group", "person", status=2)
    assert "--group" in result.stderr
    assert not (tmp_path / "out").exists()


def test_earlier_results_are_refused_or_overwritten_completely(clips: Path, tmp_path: Path) -> None:
    clip, folder = clips / "a.mp4", tmp_path / "a"
    run(clip, "--out", tmp_path, "--crops")
    (folder / "notes.txt").write_text("mine")
    before = (folder / "run.json").read_bytes()
    result = run(clips / "late" / "a.mp4", "--out", tmp_path, status=2)
    assert "--overwrite" in result.stderr
    assert (folder / "run.json").read_bytes() == before
    run(clip, "--out", tmp_path, "--overwrite", "--no-annotate")
    names = {path.name for path in folder.iterdir()}
    assert not names & {"annotated.mp4", "crops"}
    assert "notes.txt" in names
    # The same plan again, complete: nothing is analyzed.
    run(clip, "--out", tmp_path, "--resume", "--no-annotate")


def test_numbered_pictures_are_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for number, (image, _) in enumerate(face_frames(12)):
        if number != 5:
            PillowImage.fromarray(image).save(folder / f"img_{number + 8:04}.png")
    run(folder, "--out", tmp_path / "one", "--sequence-fps", "10", "--no-annotate")
    run(folder / "img_%04d.png", "--out", tmp_path / "two", "--no-annotate")
    frames = rows(tmp_path / "one" / "shots" / "frames.csv")
    assert [row["frame_index"] for row in frames] == [str(n) for n in range(12) if n != 5]
    assert float(frames[-1]["timestamp_s"]) == pytest.approx(1.1)
    assert len(rows(tmp_path / "two" / "shots" / "frames.csv")) == 11


def test_a_region_keeps_original_coordinates(clips: Path, tmp_path: Path) -> None:
    clip = clips / "a.mp4"
    common = ["--no-annotate", "--every", "5"]
    run(clip, "--out", tmp_path / "all", *common)
    run(clip, "--out", tmp_path / "left", "--roi", "0,0,0.6,1", *common)
    run(clip, "--out", tmp_path / "right", "--roi", "200,0,320,240", *common)
    boxes = [
        [row["x_min"] for row in rows(tmp_path / name / "a" / "faces.csv")]
        for name in ("all", "left", "right")
    ]
    assert boxes[0] == boxes[1] != []
    assert boxes[2] == []
    assert {row["faces"] for row in rows(tmp_path / "right" / "a" / "frames.csv")} == {"0"}


def test_an_application_writes_its_alarms_and_summary(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asleep(FakeLandmarks):
        def predict_region(self, image: Any, region: Any) -> Any:
            self.eye_opening = 0.02 if self.calls > 0 else 0.3
            self.calls += 1
            return super().predict_region(image, region)

        calls = 0

    monkeypatch.setattr(
        "mien.applications.FacePipeline",
        lambda settings, classifier: FakePipeline(
            settings, classifier=classifier, landmarks=Asleep(), blendshapes={}
        ),
    )
    run(clips / "a.mp4", "--out", tmp_path, "--application", "driver")
    summary = json.loads((tmp_path / "a" / "application.json").read_text())
    assert summary["application"] == "driver"
    events = rows(tmp_path / "a" / "events.csv")
    alarms = [row for row in events if row["behavior"] == "alarm"]
    assert summary["summary"]["alarms"]["long_closure"] == len(alarms) == 1
    again = tmp_path / "again"
    ran = CliRunner().invoke(app, ["report", str(tmp_path / "a"), "--out", str(again)])
    assert ran.exit_code == 0
    other = tmp_path / "other"
    words = ["--out", str(other), "--application", "driver"]
    assert CliRunner().invoke(app, ["report", str(tmp_path / "a"), *words]).exit_code == 0
    for folder in (tmp_path / "a", again, other):
        report = (folder / "report.html").read_text()
        assert "Not a safety device" in report
        assert "long closure" in report
        assert rows(folder / "events.csv") == events
    assert json.loads((other / "application.json").read_text()) == summary
    words = ["--out", str(tmp_path / "third"), "--application", "attention"]
    assert CliRunner().invoke(app, ["report", str(tmp_path / "a"), *words]).exit_code == 0
    kinds = {row["behavior"] for row in rows(tmp_path / "third" / "events.csv")}
    assert "alarm" not in kinds
    third = json.loads((tmp_path / "third" / "application.json").read_text())
    assert third["application"] == "attention"
    assert {row["expression"] for row in rows(tmp_path / "a" / "faces.csv")} == {""}


def test_trials_have_a_row_for_each_track(clips: Path, tmp_path: Path) -> None:
    table = tmp_path / "onsets.csv"
    table.write_text(
        "trial,onset_s,duration_s,condition\none,10,1,calm\ntwo,11,0.5,loud\nlate,50,1,calm\n"
    )
    words = ["--trials", table, "--time-offset", "10", "--landmark-table", "--no-annotate"]
    run(clips / "a.mp4", "--out", tmp_path, *words)
    one, two, late = rows(tmp_path / "a" / "trials.csv")
    assert (one["trial"], one["condition"], one["frames"], one["track_id"]) == (
        "one",
        "calm",
        "10",
        "1",
    )
    assert float(one["visible_s"]) == pytest.approx(1.0)
    assert float(two["visible_s"]) == pytest.approx(0.5)
    assert float(one["share_neutral"]) > 0.9
    assert float(two["share_happiness"]) > 0.5
    assert (late["frames"], late["track_id"], late["share_neutral"]) == ("0", "", "")
    points = rows(tmp_path / "a" / "landmarks.csv")
    assert len(points) == 20
    assert "lm_467_y" in points[0]


def test_time_offset_is_a_finite_number(mien: Any, tmp_path: Path) -> None:
    ran = mien("video", "clip.mp4", "--out", tmp_path, "--time-offset", "nan")
    assert ran.status == 2
    assert "expected a number of seconds, got nan" in ran.stderr


def test_trials_beyond_the_clip_are_said(clips: Path, tmp_path: Path) -> None:
    trials = tmp_path / "trials.csv"
    trials.write_text("trial,onset_s,offset_s\nwithin,0,1\nto the end,1,2\nlate,1.5,4\nafter,7,9\n")
    words = [clips / "a.mp4", "--out", tmp_path / "out", "--no-annotate"]
    result = run(*words, "--trials", trials)
    said = [line for line in result.stderr.splitlines() if "trial " in line]
    assert ["trial late (1.5 s to 4 s) reaches beyond" in said[0], len(said)] == [True, 2]
    assert "trial after (7 s to 9 s) lies outside of the analyzed" in said[1]
    state = json.loads((tmp_path / "out" / "a" / "run.json").read_text())
    assert len(state["warnings"]) == 2
    # Tables of a run that is complete are made again.
    assert len(run(*words, "--trials", trials, "--resume").stderr.split("trial ")) == 3


def test_trials_of_other_clips_are_refused(clips: Path, tmp_path: Path) -> None:
    trials = tmp_path / "trials.csv"
    trials.write_text("trial,onset_s,duration_s,clip\none,0,1,a.mp4\ntwo,0,1,b.mp4\n")
    result = run(clips / "a.mp4", "--out", tmp_path / "out", "--trials", trials, status=2)
    assert "got some of b.mp4: leave their rows out, or name clips as in" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_clip_whose_name_is_no_text(clips: Path, tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"bad\xff\x1b[31m.mp4")
    shutil.copy(os.fsencode(clips / "a.mp4"), path)
    result = run(os.fsdecode(path), "--out", tmp_path / "out", "--no-annotate")
    assert "bad\\xff\\x1b[31m.mp4: 20 frames" in result.stdout
    written = [f for f in (tmp_path / "out").rglob("*") if f.suffix in {".json", ".csv", ".html"}]
    assert len(written) > 4
    for file in written:
        file.read_text(encoding="utf-8")
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "run.json").read_text())["title"] == "bad\\xff\x1b[31m.mp4"
