"""What the page of a video job shows, made from the recording, also while that still grows."""

import base64
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.recording import THUMBNAILS_FOLDER, RecordedFrame, Recording
from mien.report import person_charts
from mien.tracking import Event

_MAX_EVENTS = 300
# Other events say the same.
_NOT_SHOWN = {"episode", "closure"}
_WORDS = {"track_started": "comes into view", "track_ended": "leaves", "eyes_closed": "eyes closed"}


def page_document(folder: Path) -> bytes:
    """The timelines and events of a recording as JSON.

    Args:
        folder: with a recording, complete or not.
    """
    events: list[Event] = []
    first_s: list[float] = []

    def watched() -> Iterator[RecordedFrame]:
        for frame in Recording(folder).frames():
            if not first_s:
                first_s.append(frame.result.timestamp_s or 0.0)
            events.extend(event for event in frame.events if event.kind not in _NOT_SHOWN)
            yield frame

    people = [dataclasses.asdict(chart) for chart in person_charts(watched())]
    for person in people:
        picture = folder / THUMBNAILS_FOLDER / f"{person['track_id']}.jpg"
        if picture.is_file():
            data = base64.b64encode(picture.read_bytes()).decode("ascii")
            person["picture"] = f"data:image/jpeg;base64,{data}"
    document = {
        "start_s": first_s[0] if first_s else 0.0,
        "people": people,
        "events": [_event(event) for event in events[:_MAX_EVENTS]],
        "more_events": max(0, len(events) - _MAX_EVENTS),
    }
    return json.dumps(document).encode()


def _event(event: Event) -> dict[str, Any]:
    text = _WORDS.get(event.kind, event.kind.replace("_", " "))
    if event.kind == "expression":
        text = str(event.details.get("expression"))
    elif event.kind in {"alarm", "attention"}:
        text = " ".join([text, *(str(value) for value in event.details.values())])
    return {"at_s": event.timestamp_s, "track_id": event.track_id, "text": text}
