"""The report: one HTML page that needs no network, and no script to be read."""

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html import escape
from importlib import resources
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from mien.recording import (
    APPLICATION_FILE,
    THUMBNAILS_FOLDER,
    VIDEO_FILE,
    Recording,
    RunState,
    replacing,
)
from mien.report.charts import clock_text, color, movement_lanes, share_bar, ticks, timeline
from mien.report.history import History, TrackHistory

REPORT_FILE = "report.html"
_MAX_EMBEDDED_BYTES = 20_000_000
"""A larger video stays beside the page, which then needs it there."""

_MOSTLY = 0.5
_MAX_EVENTS = 200
_APPLICATION_EVENTS = ("alarm", "attention")
_MIME = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}


def write_report(recording: Recording, folder: Path, *, video: Path | None = None) -> None:
    """Write ``report.html`` about a recording: one page that needs no network.

    Args:
        recording: is read line by line, so that its length does not matter.
        folder: an existing folder.
        video: what the page plays; by default the annotated video, if there is one. It is embedded
            below 20 MB, otherwise the page refers to it by its relative path.
    """
    state, history = recording.state(), History.of(recording.frames())
    annotated = recording.folder / VIDEO_FILE
    start_s = 0.0
    if video is None and annotated.is_file():
        # It begins with the first analyzed frame.
        video, start_s = annotated, history.first_s
    page = Template(_asset("page.html")).substitute(
        title=escape(state.title),
        style=_asset("page.css"),
        script=_asset("page.js"),
        partial=_notices(state),
        overview=_overview(state, history),
        application=_application(recording, folder),
        legend=_legend(state.labels or history.labels),
        video=_video(video, folder),
        tracks="\n".join(
            _track(track_id, track, history, recording.folder)
            for track_id, track in history.longest()
        )
        or '<p class="empty">No face was found in this recording.</p>',
        reading=_READING if history.labels else _NO_EXPRESSIONS,
        made=_how_it_was_made(state, history),
        data=_data(history, start_s),
    )
    with replacing(folder / REPORT_FILE) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


@cache
def _asset(name: str) -> str:
    return (resources.files("mien.report") / name).read_text(encoding="utf-8")


_READING = """<p>The filled area shows the smoothed probabilities; gray is neutral. The ribbon below
it shows the label that was held: pale where it was <em>uncertain</em>, dark gray where the face was
there but <em>not visible</em> well enough. Blank stretches are gaps: the face was not found.
Shares count the time in which the expression could be read, not the recording's whole length.</p>
"""
_NO_EXPRESSIONS = """<p>Expressions were not analyzed. The first bar shows when the person was in
view; blank stretches are gaps.</p>
"""

_PARTIAL = (
    '<p class="partial" role="status">This report is partial: the analysis was stopped before the '
    "end of the recording.</p>"
)


def _notices(state: RunState) -> str:
    partial = "" if state.status == "complete" else _PARTIAL
    return partial + "".join(
        f'<p class="partial" role="status">Warning: {escape(warning)}.</p>'
        for warning in state.warnings
    )


def _overview(state: RunState, history: History) -> str:
    people = len(history.tracks) + history.left_out
    items = [
        (clock_text(history.end_s), "analyzed"),
        (f"{history.frames:,}", "frames"),
        (str(people), "track" if people == 1 else "tracks"),
    ]
    if state.size_wh:
        items.append((f"{state.size_wh[0]} × {state.size_wh[1]}", "pixels"))
    if state.frame_rate:
        items.append((f"{state.frame_rate:.4g}", "frames per second"))
    return _pairs((word, value) for value, word in items)


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>" for word, value in items
    )


def _application(recording: Recording, folder: Path) -> str:
    """The summary of the application and the events that it found; empty without one."""
    path = folder / APPLICATION_FILE
    if not path.is_file():
        path = recording.folder / APPLICATION_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    found = (
        event
        for frame in recording.frames()
        for event in frame.events
        if event.kind in _APPLICATION_EVENTS
    )
    lines = [
        f"<li>{clock_text(event.timestamp_s)} {escape(_words(event.details.values()))}</li>"
        for event in islice(found, _MAX_EVENTS)
    ]
    events = f"<ul>{''.join(lines)}</ul>" if lines else '<p class="empty">No event.</p>'
    facts = _pairs(_application_facts(document["summary"]))
    return (
        f'<section aria-label="Application"><h2>Application: {escape(document["application"])}</h2>'
        f'<p>{escape(document["limits"])}</p><dl class="overview">{facts}</dl>{events}</section>'
    )


def _application_facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    for name, value in summary.items():
        if isinstance(value, dict):
            facts += [(f"{name} {inner}", _text(found)) for inner, found in value.items()]
        elif not isinstance(value, list):
            facts.append((name, _text(value)))
    return [(name.replace("_", " "), value) for name, value in facts]


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _words(values: Any) -> str:
    return " ".join(_text(value).replace("_", " ") for value in values if value is not None)


def _legend(labels: tuple[str, ...]) -> str:
    return "".join(f"<li>{_swatch(label)}{escape(label)}</li>" for label in labels)


def _swatch(label: str) -> str:
    return (
        '<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect width="10" height="10" rx="2" fill="{color(label)}"/></svg>'
    )


def _video(video: Path | None, folder: Path) -> str:
    if video is None:
        return '<p class="empty">No video is kept with this report.</p>'
    if video.stat().st_size < _MAX_EMBEDDED_BYTES:
        kind = _MIME.get(video.suffix.lower(), "video/mp4")
        address = f"data:{kind};base64," + base64.b64encode(video.read_bytes()).decode()
    else:
        address = quote(os.path.relpath(video, folder).replace(os.sep, "/"))
    return f'<video id="video" controls preload="metadata" src="{escape(address)}"></video>'


def _track(track_id: int, track: TrackHistory, history: History, folder: Path) -> str:
    name = f"Person {track_id}"
    listed = "".join(
        f"<li>{_swatch(label)}{escape(label)} <b>{_percent(share)}</b></li>"
        for label, share in track.shares.items()
    )
    return Template(_asset("track.html")).substitute(
        track_id=track_id,
        name=name,
        image=_thumbnail(folder / THUMBNAILS_FOLDER / f"{track_id}.jpg", name),
        span=f"{clock_text(track.first_s)} – {clock_text(track.last_s)}",
        lane=timeline(track, history, name),
        movements=_movements(track, history),
        axis="".join(f"<span>{tick}</span>" for tick in ticks(history)),
        shares=_uncertainty(track) + (share_bar(track.shares) if track.shares else ""),
        listed=listed,
        facts=_pairs(_facts(track)),
        transitions=_transitions(track),
        gaps=_gaps(track, history),
    )


def _movements(track: TrackHistory, history: History) -> str:
    """Lanes of the action units and the gaze; empty where they were not measured."""
    lanes = "".join(
        f"<li>{escape(words)}{svg}</li>" for words, svg in movement_lanes(track, history)
    )
    return f'<ul class="moves" aria-label="Movements">{lanes}</ul>' if lanes else ""


def _uncertainty(track: TrackHistory) -> str:
    """A warning where most of the track's labels are uncertain."""
    share = track.summary.get("share_uncertain") or 0.0
    if share <= _MOSTLY:
        return ""
    always = "throughout" if share > 0.995 else f"for {_percent(share)} of the time"
    return (
        f'<p class="quiet"><b>Uncertain {always}:</b> the shares below are of uncertain labels, '
        "and say little.</p>"
    )


def _thumbnail(path: Path, name: str) -> str:
    if not path.is_file():
        return '<div class="no-picture" aria-hidden="true"></div>'
    picture = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    return f'<img src="{picture}" width="64" height="64" alt="{name}, at the clearest moment">'


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


_SUMMARY: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("share_uncertain", "Uncertain", _percent),
    ("share_not_visible", "Not visible", _percent),
    ("share_facing", "Facing camera", _percent),
    ("share_eyes_closed", "Eyes closed", _percent),
    ("expression_changes", "Label changes", str),
    ("episodes", "Episodes", str),
    ("blinks", "Blinks", str),
    ("yawns", "Yawns", str),
    ("mean_valence", "Mean valence", "{:+.2f}".format),
    ("mean_arousal", "Mean arousal", "{:+.2f}".format),
)


def _facts(track: TrackHistory) -> Iterator[tuple[str, str]]:
    summary = track.summary
    yield "In view", f"{track.visible_s:.1f} s"
    for key, word, text in _SUMMARY:
        if summary.get(key) is not None:
            yield word, text(summary[key])


def _transitions(track: TrackHistory) -> str:
    if not track.transitions:
        return '<p class="quiet">The label never changed.</p>'
    rows = sorted(track.transitions.items(), key=lambda item: -item[1])
    cells = "".join(
        f"<tr><td>{_swatch(before)}{escape(before)}</td><td>{_swatch(after)}{escape(after)}</td>"
        f"<td>{count}</td></tr>"
        for (before, after), count in rows
    )
    return (
        "<table><thead><tr><th>from</th><th>to</th><th>times</th></tr></thead>"
        f"<tbody>{cells}</tbody></table>"
    )


def _gaps(track: TrackHistory, history: History) -> str:
    gaps, width_s = track.gaps(), history.width_s
    if not gaps:
        return '<p class="quiet">In view without a gap.</p>'
    items = "".join(
        f"<li>{clock_text(first * width_s)} – {clock_text(end * width_s)}</li>"
        for first, end in gaps[:50]
    )
    more = f"<li>and {len(gaps) - 50} more</li>" if len(gaps) > 50 else ""
    return f"<ul>{items}{more}</ul>"


def _how_it_was_made(state: RunState, history: History) -> str:
    lines = [f"{part}: {name}" for part, name in state.models.items()]
    lines.append(f"one point of a timeline is {history.width_s:g} s")
    if history.left_out:
        lines.append(f"{history.left_out} shorter tracks are counted but not shown")
    lines += state.notes
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def _data(history: History, video_start_s: float) -> str:
    """What the script needs, as JSON that cannot end its element early."""
    document = {
        "end_s": history.end_s,
        "width_s": history.width_s,
        "video_start_s": video_start_s,
        "labels": history.labels,
        "tracks": {
            track_id: {
                number: [
                    found.label or "",
                    *(
                        round(100 * found.probabilities.get(label, 0.0) / max(1, found.frames))
                        for label in (history.labels if found.probabilities else ())
                    ),
                ]
                for number, found in track.bins.items()
            }
            for track_id, track in history.tracks.items()
        },
    }
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
