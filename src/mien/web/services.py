"""What the parts of the application share: one object per application."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from mien.web.camera import CameraHub
    from mien.web.config import WebConfig
    from mien.web.inference import InferenceEngine
    from mien.web.jobs import JobRunner
    from mien.web.live import LiveStreams
    from mien.web.metrics import Metrics
    from mien.web.store.database import Database
    from mien.web.store.jobs import JobStore
    from mien.web.store.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Services:
    """The long-lived objects of an application.

    Attributes:
        inference: the pipeline, shared by all requests.
        jobs: works on video jobs.
        live_streams: the open live streams.
        camera: the server's own camera, if it has one.
        version: of mien.
    """

    config: "WebConfig"
    inference: "InferenceEngine"
    database: "Database"
    job_store: "JobStore"
    session_store: "SessionStore"
    jobs: "JobRunner"
    live_streams: "LiveStreams"
    metrics: "Metrics"
    camera: "CameraHub | None"
    version: str


def services() -> Services:
    """The services of the application that handles the current request."""
    found: Services = current_app.extensions["mien"]
    return found
