"""Logs, metrics and health."""

import json
import logging

from flask import Flask
from flask.testing import FlaskClient

from mien.web import metrics
from mien.web.services import Services


def test_ready_once_the_models_are_loaded(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    before = client.get("/readyz")
    assert before.status_code == 503
    assert before.json is not None
    assert before.json["error"]["details"][0]["check"] == "models"
    services: Services = app.extensions["mien"]
    services.inference.warm_up()
    assert client.get("/readyz").json == {
        "status": "ok", "checks": {"models": "ok", "database": "ok"},
    }  # fmt: skip


def test_metrics_count_requests_and_frames(client: FlaskClient, photo: bytes) -> None:
    client.post("/api/v1/analyze", data=photo)
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


def test_invented_methods_share_one_series(client: FlaskClient) -> None:
    for number in range(5):
        client.open("/api/v1/health", method=f"INVENTED{number}")
    text = client.get("/metrics").text
    assert "INVENTED" not in text
    assert 'mien_http_requests_total{method="OTHER",route="(none)",status="405"} 5.0' in text


def test_each_request_has_an_id(client: FlaskClient) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": "abc-123_XYZ"})
    assert given.headers["X-Request-ID"] == "abc-123_XYZ"
    for bad in ("short", 'quote"' * 3, "x" * 200):
        made = client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert made != bad
        assert len(made) == 12


def test_logs_are_json_lines_with_request_ids() -> None:
    record = logging.makeLogRecord({"name": "mien.web", "levelname": "INFO", "msg": "request"})
    record.status, record.request_id = 200, "abc"
    record.exc_info = (ValueError, ValueError("broken"), None)
    document = json.loads(metrics._JsonFormatter().format(record))
    assert document["message"] == "request"
    assert (document["status"], document["request_id"]) == (200, "abc")
    assert "ValueError: broken" in document["exception"]
    assert document["time"].endswith("Z")
