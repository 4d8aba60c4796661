"""The examples of the OpenAPI description."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from mien.tables import face_lines

_ID = "v6Jq3m0pT5uXw2yZ8aBcDe"
_PARAMETERS = {"model": _ID, "name": "faces.csv", "landmarks": True, "min_presence": 0.5}


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to each parameter and to each body that is JSON or a table."""
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                name = parameter["name"]
                parameter["example"] = _ID if name.endswith("_id") else _PARAMETERS[name]
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                for kind, content in body.get("content", {}).items():
                    schema = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    if kind == "text/csv":
                        content["example"] = _by_schema()[kind]
                    elif kind == "application/json" and schema in _by_schema():
                        content["example"] = _by_schema()[schema]


@cache
def _by_schema() -> dict[str, Any]:
    """An example for each document, by the name of its schema."""
    text = Path(__file__).with_name("example_result.json").read_text(encoding="utf-8")
    result = json.loads(text)
    job = {
        "id": _ID, "name": "interview.mp4", "state": "done", "progress": 1.0, "frames_done": 300,
        "message": None, "attempts": 1, "created_at": "2026-05-04T09:00:00Z",
        "finished_at": "2026-05-04T09:00:21Z", "expires_at": "2026-05-05T09:00:21Z",
        "files": [{"name": "faces.csv", "size": 81_230, "media_type": "text/csv",
                   "url": f"/api/v1/jobs/{_ID}/files/faces.csv"}],
    }  # fmt: skip
    session = {
        "id": _ID, "name": "Interview", "state": "complete", "created_at": "2026-05-04T09:00:00Z",
        "duration_s": 61.5, "frames": 922, "people": 1, "expires_at": "2026-06-03T09:00:00Z",
    }  # fmt: skip
    problem = {"code": "image_unreadable", "message": "Expected an image, got a text file."}
    model = {
        "name": "transfer", "task": "expression", "version": "6", "license": "MIT",
        "source": "trained by this project", "sha256": None, "shipped": True,
        "labels": list(result["faces"][0]["expression"]["probabilities"]),
        "metrics": {"accuracy": 0.86}, "training_data": "FER+",
    }  # fmt: skip
    marker = {"id": _ID, "at_s": 12.4, "text": "The second question"}
    frame = {**result, "frame_index": 0, "timestamp_s": 0.0}
    return {
        "FrameResultDocument": result,
        "BatchDocument": {
            "results": [
                {"name": "smile.jpg", "result": result, "error": None},
                {"name": "notes.txt", "result": None, "error": problem},
            ]
        },
        "JobDocument": job,
        "JobsDocument": {"jobs": [job], "note": None},
        "SessionDocument": session,
        "SessionsDocument": {"sessions": [session]},
        "SessionFramesDocument": {"session": session, "markers": [marker], "frames": [frame]},
        "MarkerDocument": marker,
        "MarkersDocument": {"markers": [marker]},
        "MarkerBody": {"at_s": marker["at_s"], "text": marker["text"]},
        "CorrectionDocument": {"id": _ID, "label": "bored"},
        "CorrectionsDocument": {"corrections": [{"id": _ID, "label": "bored"}]},
        "RenameBody": {"name": "Interview, second part"},
        "DeletedDocument": {"deleted": 1},
        "LiveStreamDocument": {"id": _ID},
        "ResultsBody": {"results": [frame]},
        "AddedDocument": {"added": 1},
        "RecordingDocument": {"type": "recording", "state": "started", "session_id": _ID},
        "ModelsDocument": {"active": result["models"], "models": [model]},
        "HealthDocument": {"status": "ok", "version": "1.0.0", "live_connections": 2, "waiting": 0},
        "ErrorDocument": {
            "error": {**problem, "status": 400, "request_id": "4dJ0c1bQy2Xw", "details": []}
        },
        "text/csv": "".join(face_lines([frame])),
    }
