"""The section of a report about the application of a run, such as the driver's alarms."""

import json
from html import escape
from itertools import islice
from typing import Any

from mien.recording import APPLICATION_FILE, Recording
from mien.report.charts import clock_text

_MAX_LINES = 200
_KINDS = ("alarm", "attention")


def application_section(recording: Recording) -> str:
    """The summary of the application and the events that it found; empty without one."""
    try:
        document = json.loads((recording.folder / APPLICATION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    found = (
        event for frame in recording.frames() for event in frame.events if event.kind in _KINDS
    )
    lines = [
        f"<li>{clock_text(event.timestamp_s)} {escape(_words(event.details.values()))}</li>"
        for event in islice(found, _MAX_LINES)
    ]
    events = f"<ul>{''.join(lines)}</ul>" if lines else '<p class="empty">No event.</p>'
    facts = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(value)}</dd></div>"
        for name, value in _facts(document["summary"])
    )
    return (
        f'<section aria-label="Application"><h2>Application: {escape(document["application"])}</h2>'
        f'<p>{escape(document["limits"])}</p><dl class="overview">{facts}</dl>{events}</section>'
    )


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    for name, value in summary.items():
        if isinstance(value, dict):
            facts += [(f"{name} {inner}", _text(found)) for inner, found in value.items()]
        elif not isinstance(value, list):
            facts.append((name, _text(value)))
    return facts


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _words(values: Any) -> str:
    return " ".join(_text(value).replace("_", " ") for value in values if value is not None)
