"""The application and its wiring: read it first."""

import threading
from importlib import metadata

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from mien.pipeline import FacePipeline
from mien.web import (
    api,
    api_sessions,
    api_videos,
    camera,
    errors,
    limits,
    live,
    metrics,
    openapi,
    pages,
    security,
    session_pages,
    video_pages,
)
from mien.web.config import WebConfig
from mien.web.inference import Engine
from mien.web.jobs import JobRunner
from mien.web.live_streams import Lobby
from mien.web.store.database import Database, database_url
from mien.web.worker import UploadAnalyzer


def create_app(config: WebConfig | None = None, pipeline: FacePipeline | None = None) -> Flask:
    """The web application.

    Args:
        config: by default from the environment.
        pipeline: analyzes the pictures; by default as the environment's settings say.

    Returns:
        A WSGI application. Nothing heavy was loaded and no camera opened yet.
    """
    config = config or WebConfig.from_environment()
    version = metadata.version("mien")
    app = openapi.build_app(__name__, version=version, config=config)
    # Documents keep the order that their authors gave them.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    counters = metrics.Metrics()
    engine = Engine(pipeline or FacePipeline(), on_batch=counters.batch_size.observe)
    database = Database(database_url(config))
    runner = JobRunner(
        database,
        config,
        UploadAnalyzer(engine.pipeline, config),
        on_end=lambda outcome: counters.jobs.labels(outcome).inc(),
    )
    lobby = Lobby(engine, config.max_live, on_change=counters.live.set)
    app.extensions.update(
        {
            "mien.config": config,
            "mien.version": version,
            "mien.metrics": counters,
            "mien.engine": engine,
            "mien.lobby": lobby,
            "mien.database": database,
            "mien.jobs": runner,
            "mien.checks": {"models": engine.problem, "database": database.problem},
        }
    )

    errors.init_app(app)
    metrics.init_app(app)
    limits.init_app(app, config)
    security.init_app(app, config)
    pages.init_app(app)
    app.register_blueprint(video_pages.blueprint)
    app.register_blueprint(session_pages.blueprint)
    for part in (api.blueprint, api_videos.blueprint, api_sessions.blueprint):
        app.register_api(part)
    live.init_app(app)
    camera.init_app(app, config.camera, engine)
    openapi.init_app(app, config)

    if config.proxies:
        hops = config.proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    return app


def start(app: Flask) -> None:
    """Begin to work, once the serving process is there: load the models, take up jobs.

    ``/readyz`` tells when the models are loaded.
    """
    engine: Engine = app.extensions["mien.engine"]
    config: WebConfig = app.extensions["mien.config"]
    runner: JobRunner = app.extensions["mien.jobs"]
    threading.Thread(target=engine.warm_up, name="mien-warm-up", daemon=True).start()
    runner.start(workers=1 if config.jobs == "inline" else 0)


def stop(app: Flask) -> None:
    """End well: recordings are completed, the job at hand is given back."""
    lobby: Lobby = app.extensions["mien.lobby"]
    runner: JobRunner = app.extensions["mien.jobs"]
    lobby.close_all()
    runner.stop()
