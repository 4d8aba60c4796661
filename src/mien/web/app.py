"""The application and its wiring: read it first."""

import logging
import os
from dataclasses import replace
from importlib import metadata

from flask import Flask
from flask_openapi3.openapi import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from mien.config import Settings
from mien.pipeline import FacePipeline
from mien.streaming.background import start_thread
from mien.web import (
    api,
    batch,
    camera,
    corrections,
    documentation,
    errors,
    installed,
    live,
    live_socket,
    markers,
    metrics,
    pages,
    photos,
    recordings,
    security,
    sessions,
    shares,
    videos,
    words,
)
from mien.web.config import MEGABYTE, WebConfig
from mien.web.inference import InferenceEngine
from mien.web.jobs import JobRunner
from mien.web.live import LiveStreams
from mien.web.services import Services
from mien.web.site import runs_in_browsers
from mien.web.store.database import Database, database_url
from mien.web.store.jobs import JobStore
from mien.web.store.sessions import SessionStore
from mien.web.worker import video_work

log = logging.getLogger("mien.web")


def create_app(
    config: WebConfig | None = None, pipeline: FacePipeline | None = None, *, api_only: bool = False
) -> Flask:
    """The web application.

    Args:
        config: by default from the environment.
        pipeline: analyzes the pictures; by default as the environment's settings say.
        api_only: without pages and all that the database is for: photographs, models, health.

    Returns:
        A WSGI application. Models are not loaded and the camera is not opened yet.
    """
    config = config or WebConfig.from_environment()
    pipeline = pipeline or FacePipeline(Settings.from_environment())
    if not runs_in_browsers(pipeline.settings.model):
        config = replace(config, live="server")
    made = _make_services(config, pipeline)
    app = api.build_app(__name__, version=made.version, config=config)
    app.extensions["mien"] = made

    for part in (errors, metrics, security, api):
        part.init_app(app)
    for noun in (photos, batch, api):
        app.register_api(noun.blueprint)
    if not api_only:
        _add_pages(app, config)

    if config.proxies:
        hops = config.proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    return app


def _add_pages(app: OpenAPI, config: WebConfig) -> None:
    """Add the pages, and what is more than the analysis of photographs."""
    for part in (words, pages, installed):
        part.init_app(app)
    app.register_blueprint(photos.pages)
    for noun in (videos, sessions, markers, corrections, live):
        app.register_blueprint(noun.pages)
        app.register_api(noun.blueprint)
    app.register_blueprint(recordings.blueprint)
    app.register_blueprint(shares.pages)
    app.jinja_env.globals["links"] = shares.links
    app.register_blueprint(security.blueprint)
    live_socket.init_app(app)
    if config.camera:
        app.register_blueprint(camera.blueprint)
    if config.docs_dir:
        app.register_blueprint(documentation.blueprint)


def _make_services(config: WebConfig, pipeline: FacePipeline) -> Services:
    counters = metrics.Metrics()
    # Several processes share the cores and the places of live streams.
    processes = config.worker_count
    inference = InferenceEngine(
        pipeline,
        slots=max(1, (os.cpu_count() or 1) // processes) + 1,
        on_batch=counters.batch_size.observe,
    )
    database = Database(database_url(config))
    return Services(
        config=config,
        inference=inference,
        database=database,
        job_store=JobStore(database),
        session_store=SessionStore(database, config.max_stored_mb * MEGABYTE),
        jobs=JobRunner(
            database,
            config,
            video_work(pipeline, config),
            on_end=lambda outcome: counters.jobs.labels(outcome).inc(),
        ),
        live_streams=LiveStreams(
            inference, -(-config.max_live // processes), on_change=counters.live.set
        ),
        metrics=counters,
        camera=camera.CameraHub(config.camera, inference) if config.camera else None,
        version=metadata.version("mien"),
    )


def start(app: Flask) -> None:
    """Load the models and start to work on jobs, in the process that serves.

    ``/readyz`` reports when the models are loaded.
    """
    made: Services = app.extensions["mien"]
    if made.config.public and not made.config.host_names:
        log.warning(
            "public, and any host name is answered: set MIEN_ALLOWED_HOSTS to the server's names"
        )
    start_thread(made.inference.warm_up, "mien-warm-up", lambda: None)
    streams = made.live_streams
    start_thread(streams.keep_closing_idle, "mien-idle-streams", streams.close_all)
    made.jobs.start(workers=made.config.job_threads if made.config.jobs == "inline" else 0)


def stop(app: Flask) -> None:
    """Complete recordings and release the job in progress."""
    made: Services = app.extensions["mien"]
    made.live_streams.close_all()
    made.jobs.stop()
