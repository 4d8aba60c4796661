"""What an operator sees."""

import json
import logging
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from mien.web import metrics
from mien.web.inference import Engine


def test_readiness_follows_the_models(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    before = client.get("/readyz")
    assert before.status_code == 503
    assert before.json is not None
    assert before.json["error"]["details"][0]["check"] == "models"
    engine: Engine = app.extensions["mien.engine"]
    engine.warm_up()
    assert client.get("/readyz").json == {
        "status": "ok", "checks": {"models": "ok", "database": "ok"},
    }  # fmt: skip


def test_metrics_count_what_happened(client: FlaskClient, samples: dict[str, Path]) -> None:
    client.post("/api/v1/analyze", data=samples["group"].read_bytes())
    client.post("/api/v1/analyze", data=b"nonsense")
    text = client.get("/metrics").text
    for line in (
        'mien_frames_total{outcome="analyzed",source="photograph"} 1.0',
        'mien_frames_total{outcome="unreadable",source="photograph"} 1.0',
        "mien_faces_total 4.0",
        "mien_batch_crops_sum 4.0",
        'mien_http_requests_total{method="POST",route="/api/v1/analyze",status="400"} 1.0',
    ):
        assert line in text


def test_each_request_has_an_id(client: FlaskClient) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": "abc-123_XYZ"})
    assert given.headers["X-Request-ID"] == "abc-123_XYZ"
    for bad in ("short", 'quote"' * 3, "x" * 200):
        made = client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert made != bad
        assert len(made) == 12


def test_logs_are_json_lines_with_the_requests_id() -> None:
    record = logging.makeLogRecord({"name": "mien.web", "levelname": "INFO", "msg": "request"})
    record.status, record.request_id = 200, "abc"
    record.exc_info = (ValueError, ValueError("broken"), None)
    document = json.loads(metrics.JsonFormatter().format(record))
    assert document["message"] == "request"
    assert (document["status"], document["request_id"]) == (200, "abc")
    assert "ValueError: broken" in document["exception"]
    assert document["time"].endswith("Z")
