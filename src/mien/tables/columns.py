"""The declarations of tables: each column with its meaning and unit, and each kind of event."""

from collections.abc import Iterator, Mapping

from mien.labels import Expression
from mien.types import face_column_descriptions

FRAMES = {
    "frame_index": "Frame number in the file, from 0; frames that were not analyzed are counted.",
    "timestamp_s": "Time of the frame in seconds since the first frame of the file.",
    "faces": "Number of faces in the frame.",
    "clear": "Of these, with a clear expression.",
    "uncertain": "Of these, where no expression stands out.",
    "not_visible": "Of these, turned away, hidden or blurred.",
    "scene_cut": "True in the first frame after a cut: tracks start over.",
}

_SHARE_OF_LABEL = "Share of the readable time in which the label was {}; in [0, 1]."
TRACKS = {
    "track_id": "Number of the track; one face as long as it is followed, not an identity.",
    "first_s": "Time of its first frame in seconds.",
    "last_s": "Time of its last frame in seconds.",
    "frames": "Number of analyzed frames that show it.",
    "visible_s": "Seconds in view, without gaps.",
    "gaps": "How often it was lost and found again.",
    **{f"share_{label.value}": _SHARE_OF_LABEL.format(label.value) for label in Expression},
    "share_uncertain": "Share of the readable time without a clear expression; in [0, 1].",
    "share_not_visible": "Share of the time in view in which the expression could not be read: "
    "the face was turned away, hidden or blurred; in [0, 1].",
    "expression_changes": "How often the label changed.",
    "episodes": "Number of stretches of an expression other than neutral.",
    "blinks": "Number of blinks; empty where the eyes were not seen, with facemesh, or frames "
    "are over 0.1 s apart.",
    "eyes_seen_s": "Seconds in which the eyelids could be measured; empty where frames are too far "
    "apart.",
    "share_eyes_closed": "Share of these with closed eyes; in [0, 1].",
    "longest_closure_s": "Longest closure of the eyes in seconds; empty like eyes_seen_s.",
    "yawns": "Number of yawns; empty where frames are too far apart, or without blendshapes.",
    "share_facing": "Share of the time in view with the head within 20 degrees of the camera.",
    "mean_valence": "Mean valence over time, from -1 (unpleasant) to 1 (pleasant).",
    "mean_arousal": "Mean arousal over time, from -1 (calm) to 1 (excited).",
}

EVENT_TABLE = {
    "onset_s": "Start in seconds since the first frame of the file, plus --time-offset.",
    "offset_s": "End in seconds; empty for what happens at one moment.",
    "duration_s": "Seconds from onset to offset; empty for what happens at one moment.",
    "tier": "Subject and behavior, as the name of a tier.",
    "subject": "The person, as in the report; empty for the whole picture.",
    "behavior": "What happened; see the events.",
    "value": "The expression, or the reason or state of an alarm.",
    "comment": "More details, as name=value.",
    "elan_end_s": "The offset; of what happens at one moment, one sampling interval after it, but "
    "not after the next one of its tier. ELAN needs an end.",
}

_NO_LABEL = "Share of the trial's readable time in which the label was {}; in [0, 1]."
TRIALS = {
    "trial": "Name of the trial.",
    "onset_s": "Start of the trial in seconds, as in the table of trials.",
    "offset_s": "End of the trial in seconds.",
    "track_id": "Number of the track; empty where the trial shows no face.",
    "frames": "Number of analyzed frames in the trial.",
    "frames_with_face": "Of these, that show the track.",
    "visible_s": "Seconds of the trial in which the track is in view.",
    **{f"share_{label.value}": _NO_LABEL.format(label.value) for label in Expression},
    "share_uncertain": "Share of the readable time without a clear expression; in [0, 1].",
    "share_not_visible": "Share of the time in view in which the expression could not be read.",
    **{
        f"mean_p_{label.value}": f"Mean probability of {label.value} over the readable time."
        for label in Expression
    },
    "mean_valence": "Mean valence over the readable time, from -1 to 1.",
    "mean_arousal": "Mean arousal over the readable time, from -1 to 1.",
    "blinks": "Number of blinks that ended in the trial; empty where it does not show the eyes.",
    "yawns": "Number of yawns noticed in the trial; empty where it does not show the mouth.",
}

_LANDMARKS = {
    "frame_index": FRAMES["frame_index"],
    "timestamp_s": FRAMES["timestamp_s"],
    "track_id": TRACKS["track_id"],
    "lm_N_x": "Column of point N of the model's scheme in pixels of the original frame.",
    "lm_N_y": "Its row.",
    "lm_N_z": "Its depth in the same unit, smaller is nearer; only where the model has it.",
}

SUMS = {
    "tracks": "Number of tracks.",
    "frames": "Sum of their frames.",
    "visible_s": "Sum of their seconds in view.",
    **{
        name: f"{text} Over all tracks, weighted by time."
        for name, text in TRACKS.items()
        if name.startswith("share_")
    },
    "expression_changes": "Sum over the tracks.",
    "episodes": "Sum over the tracks.",
    "blinks": "Sum over the tracks in which blinks were measured; empty without any.",
    "eyes_seen_s": "Sum of the seconds in which the eyelids were measured.",
    "longest_closure_s": "The longest of all.",
    "yawns": "Sum over the tracks in which yawns were measured; empty without any.",
    "mean_valence": "Mean over the tracks, weighted by seconds in view.",
    "mean_arousal": "Mean over the tracks, weighted by seconds in view.",
}
CLIPS = {
    "clip": "The clip as it was named: path, or path relative to the given folder.",
    "folder": "Its subfolder.",
    "status": "complete, partial (stopped) or failed.",
    "error": "Why it failed.",
    "warnings": "What went wrong without ending the run.",
    "analyzed_frames": "Number of analyzed frames, also without faces.",
    **SUMS,
}
GROUPS = {
    "clips": "Number of clips of the group that were analyzed.",
    "analyzed_frames": "Sum of their analyzed frames, also without faces.",
    **SUMS,
}

EVENTS: Mapping[str, str] = {
    "track_started": "A face was found; its details are empty.",
    "track_ended": "A face is gone; its details are its row in tracks.csv, and it is only there.",
    "scene_cut": "The picture changed to another scene; all tracks end.",
    "expression": "The label of a track changed: `expression`, and the one `before`.",
    "episode": "A stretch of an expression other than neutral is over: `expression`, `start_s`, "
    "`peak_s`, `peak_probability`, `duration_s`.",
    "blink": "A blink is over: `duration_s`.",
    "eyes_closed": "The eyes have been closed for half a second or more: `duration_s`.",
    "closure": "Such a closure is over, or the eyes are not seen any longer: `start_s`, "
    "`duration_s`. In events.csv it is `eyes_closed`, from its start to its end.",
    "yawn": "The jaw has been dropped for 2 s, without a smile or round lips: `start_s`.",
    "alarm": "An application raised an alarm: `reason`, `value`.",
    "attention": "The application attention saw a change: `state`, and the one `before`.",
    "marker": "A person marked the time on a page of `mien serve`: `text`.",
}
"""The kinds of events with their details."""


_TRACKS_TEXT = (
    "One row for each track, in the order in which they ended. The time between two frames counts "
    "for what is seen in the second one. In `events.csv`, `expression` lasts from the first frame "
    "of a label to the first one of the next. So the two differ by up to one sampling interval for "
    "each change, which shows at one frame a second and hardly at ten."
)


def tables() -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Each table: file name, what a row is, and the columns with their descriptions."""
    yield "faces.csv", "One row for each face in each frame.", face_column_descriptions()
    yield "frames.csv", "One row for each analyzed frame, also without faces.", FRAMES
    yield "tracks.csv", _TRACKS_TEXT, TRACKS
    yield "events.csv", "One row for each event, by onset.", EVENT_TABLE
    yield "trials.csv", "With --trials: one row for each trial and track.", TRIALS
    yield "landmarks.csv", "With --landmark-table: one row for each face in each frame.", _LANDMARKS
    yield "clips.csv", "Of several clips: one row for each.", CLIPS
    yield "groups.csv", "With --group COLUMN: one row for each value of the column.", GROUPS
