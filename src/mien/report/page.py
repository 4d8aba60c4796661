"""The report: one HTML page that needs no network, and no script to be read."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib import resources
from itertools import pairwise
from pathlib import Path
from string import Template
from urllib.parse import quote

from mien.report.plots import clock_text, color, lane, share_bar
from mien.report.records import Recording, TrackRecord

MAX_EMBEDDED_BYTES = 20_000_000
"""A larger video stays beside the page, which then needs it there."""

_MIME = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}


def render_report(recording: Recording, *, video: Path | None, folder: Path) -> str:
    """The page as text.

    Args:
        recording: what it shows.
        video: what it plays; embedded below 20 MB, else by its path relative to `folder`.
        folder: where the page will lie.
    """
    tracks = sorted(recording.tracks.items(), key=lambda item: -_seen_s(item[1]))
    return Template(_asset("page.html")).substitute(
        title=escape(recording.facts.title),
        style=_asset("page.css"),
        script=_asset("page.js"),
        partial="" if recording.complete else _PARTIAL,
        overview=_overview(recording),
        legend=_legend(recording.labels),
        video=_video(video, folder),
        tracks="\n".join(_track(key, record, recording) for key, record in tracks)
        or '<p class="empty">No face was found in this recording.</p>',
        made=_how_it_was_made(recording),
        data=_data(recording),
    )


@cache
def content_hashes() -> dict[str, str]:
    """Hashes of the page's only style and script, for a Content-Security-Policy.

    They are the same for every report of this version: ``{"style": "sha256-…", "script": …}``.
    """
    return {
        kind: "sha256-" + base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()
        for kind, name in (("style", "page.css"), ("script", "page.js"))
    }


@cache
def _asset(name: str) -> str:
    return (resources.files("mien.report") / name).read_text(encoding="utf-8")


_PARTIAL = (
    '<p class="partial" role="status">This report is partial: the analysis was stopped before the '
    "end of the recording.</p>"
)


def _seen_s(record: TrackRecord) -> float:
    return float(record.summary.get("visible_s", record.last_s - record.first_s))


def _overview(recording: Recording) -> str:
    facts = recording.facts
    people = len(recording.tracks) + recording.left_out
    items = [
        (clock_text(recording.end_s), "analyzed"),
        (f"{recording.frames:,}", "frames"),
        (str(people), "track" if people == 1 else "tracks"),
    ]
    if facts.size_wh:
        items.append((f"{facts.size_wh[0]} × {facts.size_wh[1]}", "pixels"))
    if facts.frame_rate:
        items.append((f"{facts.frame_rate:.4g}", "frames a second"))
    return "".join(f"<div><dt>{word}</dt><dd>{escape(value)}</dd></div>" for value, word in items)


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
    if video.stat().st_size < MAX_EMBEDDED_BYTES:
        kind = _MIME.get(video.suffix.lower(), "video/mp4")
        address = f"data:{kind};base64," + base64.b64encode(video.read_bytes()).decode()
    else:
        address = quote(os.path.relpath(video, folder).replace(os.sep, "/"))
    return f'<video id="video" controls preload="metadata" src="{escape(address)}"></video>'


def _track(track_id: int, record: TrackRecord, recording: Recording) -> str:
    name = f"Person {track_id}"
    picture = record.thumbnail.data_uri if record.thumbnail else None
    image = (
        f'<img src="{picture}" width="64" height="64" alt="{name}, at the clearest moment">'
        if picture
        else '<div class="no-picture" aria-hidden="true"></div>'
    )
    summary = record.summary
    shares = {
        label: float(summary[f"share_{label}"])
        for label in recording.labels
        if summary.get(f"share_{label}")
    }
    shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
    listed = "".join(
        f"<li>{_swatch(label)}{escape(label)} <b>{_percent(share)}</b></li>"
        for label, share in shares.items()
    )
    return Template(_asset("track.html")).substitute(
        track_id=track_id,
        name=name,
        image=image,
        span=f"{clock_text(record.first_s)} – {clock_text(record.last_s)}",
        lane=lane(record, recording, name),
        axis=_axis(recording.end_s),
        shares=share_bar(shares) if shares else "",
        listed=listed,
        facts="".join(
            f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>"
            for word, value in _facts(record)
        ),
        transitions=_transitions(record),
        gaps=_gaps(record, recording),
    )


def _axis(end_s: float) -> str:
    steps = 4
    return "".join(f"<span>{clock_text(end_s * step / steps)}</span>" for step in range(steps + 1))


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _facts(record: TrackRecord) -> Iterator[tuple[str, str]]:
    summary = record.summary
    yield "In view", f"{_seen_s(record):.1f} s"
    for word, key in (
        ("Uncertain", "share_uncertain"),
        ("Not visible", "share_not_visible"),
        ("Facing camera", "share_facing"),
        ("Eyes closed", "share_eyes_closed"),
    ):
        if summary.get(key) is not None:
            yield word, _percent(float(summary[key]))
    for word, key in (
        ("Label changes", "expression_changes"),
        ("Episodes", "episodes"),
        ("Blinks", "blinks"),
        ("Yawns", "yawns"),
    ):
        if key in summary:
            yield word, str(summary[key])
    for word, key in (("Mean valence", "mean_valence"), ("Mean arousal", "mean_arousal")):
        if summary.get(key) is not None:
            yield word, f"{float(summary[key]):+.2f}"


def _transitions(record: TrackRecord) -> str:
    if not record.transitions:
        return '<p class="quiet">The label never changed.</p>'
    rows = sorted(record.transitions.items(), key=lambda item: -item[1])
    cells = "".join(
        f"<tr><td>{_swatch(before)}{escape(before)}</td><td>{_swatch(after)}{escape(after)}</td>"
        f"<td>{count}</td></tr>"
        for (before, after), count in rows
    )
    return (
        "<table><thead><tr><th>from</th><th>to</th><th>times</th></tr></thead>"
        f"<tbody>{cells}</tbody></table>"
    )


def _gaps(record: TrackRecord, recording: Recording) -> str:
    numbers = sorted(record.bins.bins)
    width_s = recording.width_s
    gaps = [(before + 1, after) for before, after in pairwise(numbers) if after > before + 1]
    if not gaps:
        return '<p class="quiet">In view without a gap.</p>'
    items = "".join(
        f"<li>{clock_text(first * width_s)} – {clock_text(end * width_s)}</li>"
        for first, end in gaps[:50]
    )
    more = f"<li>and {len(gaps) - 50} more</li>" if len(gaps) > 50 else ""
    return f"<ul>{items}{more}</ul>"


def _how_it_was_made(recording: Recording) -> str:
    facts = recording.facts
    lines = [f"{part}: {name}" for part, name in facts.models.items()]
    lines.append(f"one point of a timeline is {recording.width_s:g} s")
    if recording.left_out:
        lines.append(f"{recording.left_out} shorter tracks are counted but not shown")
    return "".join(f"<li>{escape(line)}</li>" for line in (*lines, *facts.notes))


def _data(recording: Recording) -> str:
    """What the script needs, as JSON that cannot end its element early."""
    document = {
        "end_s": recording.end_s,
        "width_s": recording.width_s,
        "video_start_s": recording.video_start_s,
        "labels": recording.labels,
        "tracks": {
            key: {
                number: [
                    max(found.labels, key=lambda name: found.labels[name]) if found.labels else "",
                    *(round(100 * p / max(1, found.frames)) for p in found.probabilities),
                ]
                for number, found in record.bins.bins.items()
            }
            for key, record in recording.tracks.items()
        },
    }
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
