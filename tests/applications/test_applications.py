"""The applications on series with known results."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mien.applications import (
    APPLICATIONS,
    AttentionApplication,
    DriverApplication,
    MoodApplication,
    MoodItem,
    ObservationApplication,
    build_application,
    open_stream,
)
from mien.config import Settings
from mien.errors import ModelError, SettingError
from mien.labels import Expression
from mien.runtime.session import Session
from mien.tracking import Event
from mien.types import (
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Gaze,
    Quality,
    Signals,
    TrackStatistics,
)

LABELS = tuple(Expression)


def frame(timestamp_s: float, *faces: Face) -> FrameResult:
    return FrameResult(faces, (640, 480), int(timestamp_s * 10), timestamp_s)


def face(
    *,
    track_id: int = 1,
    size: float = 100,
    closed_s: float = 0.0,
    perclos: float | None = None,
    facing: float = 1.0,
    label: Expression = Expression.NEUTRAL,
    mood: tuple[float, float] | None = None,
) -> Face:
    probabilities = np.zeros(8, np.float32)
    probabilities[LABELS.index(label)] = 1
    valence, arousal = mood or (None, None)
    return Face(
        Detection(Box(0, 0, size, size), 0.9),
        expression=ExpressionScores(LABELS, probabilities),
        signals=Signals(facing=facing),
        track_id=track_id,
        track=TrackStatistics(
            age_s=1,
            eyes_closed_s=closed_s,
            perclos=perclos,
            mood_valence=valence,
            mood_arousal=arousal,
        ),
    )


def alarms(
    application: DriverApplication, frames: Iterable[FrameResult]
) -> list[tuple[float, str]]:
    return [
        (event.timestamp_s, event.details["reason"])
        for result in frames
        for event in application.update(result, ())
    ]


def test_long_closure_raises_one_alarm() -> None:
    frames = [frame(n / 10, face(closed_s=max(0, n - 10) / 10)) for n in range(50)]
    assert alarms(DriverApplication(), frames) == [(2.5, "long_closure")]


def test_blinks_raise_no_alarm() -> None:
    frames = [frame(n / 10, face(closed_s=n % 3 / 10, perclos=0.08)) for n in range(600)]
    assert alarms(DriverApplication(), frames) == []


def test_high_perclos_raises_an_alarm_every_half_minute() -> None:
    frames = [frame(n / 10, face(perclos=0.2)) for n in range(650)]
    assert alarms(DriverApplication(), frames) == [
        (0.0, "perclos"),
        (30.0, "perclos"),
        (60.0, "perclos"),
    ]


def test_long_look_off_the_road_raises_one_alarm() -> None:
    # The road is 20 degrees to the left of the camera; a mirror at 15 s, for 1 s, a phone at 20 s.
    def yaw_deg(n: int) -> float:
        return 30.0 if 150 <= n < 160 or 200 <= n < 250 else -20.0

    frames = [
        frame(n / 10, replace(face(), gaze=Gaze(yaw_deg=yaw_deg(n), pitch_deg=0)))
        for n in range(300)
    ]
    assert alarms(DriverApplication(), frames) == [(22.0, "off_road")]
    heads = [
        frame(n / 10, replace(face(), quality=Quality(100, yaw_deg=yaw_deg(n), pitch_deg=0)))
        for n in range(300)
    ]
    assert alarms(DriverApplication(), heads) == [(22.0, "off_road")]
    assert alarms(DriverApplication(), [frame(n / 10, face()) for n in range(300)]) == []


def test_looks_down_count_as_far_as_they_are() -> None:
    # A phone in the lap is 40 degrees down, of which three fifths are measured; the dashboard 20.
    def frames(down_deg: float) -> list[FrameResult]:
        return [
            frame(
                n / 10,
                replace(
                    face(), gaze=Gaze(yaw_deg=0, pitch_deg=-5 - (0.6 * down_deg if n >= 200 else 0))
                ),
            )
            for n in range(250)
        ]

    assert alarms(DriverApplication(), frames(40)) == [(22.0, "off_road")]
    assert alarms(DriverApplication(), frames(20)) == []


def test_driver_is_the_largest_face() -> None:
    passenger = face(track_id=2, size=50, closed_s=9.0, perclos=0.9)
    frames = [frame(n / 10, face(), passenger) for n in range(50)]
    assert alarms(DriverApplication(), frames) == []


def test_attention_sums_up_and_reports_lasting_changes_only() -> None:
    application, events = AttentionApplication(), []
    for n in range(200):
        turned = n % 30 == 0 or n >= 100
        result = frame(n / 10, face(facing=0.5 if turned else 1.0))
        events += application.update(result, ())
    assert [event.details["state"] for event in events] == ["facing", "turned_away"]
    assert events[1].timestamp_s == pytest.approx(12.0, abs=0.11)
    seconds = application.summary()["tracks"][1]
    assert seconds["facing_s"] == pytest.approx(9.6, abs=0.2)
    assert seconds["turned_away_s"] == pytest.approx(10.4, abs=0.2)


def test_attention_follows_the_gaze_where_it_is_known() -> None:
    application = AttentionApplication()
    for n in range(100):
        gaze = Gaze(yaw_deg=5.0 if n < 50 else 40.0, pitch_deg=-4.0)
        application.update(frame(n / 10, replace(face(facing=1.0), gaze=gaze)), ())
    seconds = application.summary()["tracks"][1]
    assert seconds == {"facing_s": pytest.approx(4.9), "turned_away_s": pytest.approx(5.0)}


def test_driver_counts_yawns_of_the_driver() -> None:
    application = DriverApplication()
    yawns = [Event("yawn", 1.0, 1), Event("yawn", 1.0, 2)]
    assert application.update(frame(1.0, face()), yawns) == []
    assert application.summary()["yawns"] == 1


def test_attention_counts_absence_until_the_track_ends() -> None:
    application = AttentionApplication()
    for n in range(50):
        application.update(frame(n / 10, face()), ())
    for n in range(50, 70):
        application.update(frame(n / 10), ())
    application.update(frame(7.0), (Event("track_ended", 5.0, 1),))
    for n in range(71, 200):
        application.update(frame(n / 10), ())
    assert application.summary()["tracks"][1]["absent_s"] == pytest.approx(2.1, abs=0.11)


def test_observation_has_a_table_per_interval_with_gaps() -> None:
    application = ObservationApplication(interval_s=10)
    for n in range(100):
        application.update(frame(n / 10, face(label=Expression.HAPPINESS)), ())
    for n in range(100, 150):
        application.update(frame(n / 10), ())
    episode = Event("episode", 18.0, 1, {"expression": "happiness"})
    application.update(frame(18.0, face()), (episode,))
    first, second = application.summary()["intervals"]
    assert first["seconds"] == {"happiness": pytest.approx(9.9)}
    assert second["seconds"]["no_face"] == pytest.approx(5.0)
    assert second["seconds"]["not_recorded"] == pytest.approx(3.1)
    assert second["episodes"] == {"happiness": 1}


def test_mood_ranks_by_distance() -> None:
    application = MoodApplication()
    items = [MoodItem("sad and calm", -0.8, -0.5), MoodItem("glad and lively", 0.8, 0.5)]
    assert application.rank(items) == items
    application.update(frame(0.0, face(mood=(0.6, 0.4))), ())
    assert [item.title for item in application.rank(items)] == ["glad and lively", "sad and calm"]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_each_application_states_its_limits(name: str) -> None:
    application = build_application(name)
    assert application.name == name
    assert len(application.limits) > 80


def test_rejects_unknown_applications() -> None:
    with pytest.raises(SettingError, match="driver"):
        build_application("lie-detector")


@pytest.mark.parametrize("name", ["driver", "attention"])
def test_applications_without_expressions_never_load_the_model(
    name: str,
    smile_frames: list[tuple[npt.NDArray[np.uint8], float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("lap", reason="tracking needs lapx")
    loaded: list[str] = []
    load = Session._load

    def noted_load(session: Session) -> Any:
        loaded.append(session.path.name)
        return load(session)

    monkeypatch.setattr(Session, "_load", noted_load)
    application = build_application(name)
    stream = open_stream(application)
    for image, timestamp_s in smile_frames[:10]:
        result = stream.update(image, timestamp_s)
        application.update(result, stream.events)
    models = ["blazeface", "face-blendshapes", "face-landmarker", "facemesh"]
    assert sorted({*loaded}) == [f"{model}.onnx" for model in models]
    (found,) = result.faces
    assert found.gaze is not None
    assert found.expression is None
    assert found.affect is None
    assert found.signals is not None
    assert found.signals.eye_opening_left is not None
    with pytest.raises(ModelError, match="no expressions"):
        stream.pipeline.classify([smile_frames[0][0]])


def test_an_application_of_eyes_refuses_landmarks_without_lids() -> None:
    pytest.importorskip("lap", reason="tracking needs lapx")
    assert open_stream(DriverApplication()).pipeline.landmarks.scheme == "mesh478"
    with pytest.raises(SettingError, match="face-landmarker for the application driver, got 'fac"):
        open_stream(DriverApplication(), Settings(landmarks="facemesh"))
