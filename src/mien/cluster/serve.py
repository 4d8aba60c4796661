"""The analysis of photographs as a service on a cluster: ``serve run mien.cluster.serve:app``.

Each replica is the application of ``mien serve`` without its pages, video jobs and live streams,
so that routes, documents, errors, the access token and limits are the same. Requests that a
replica works on at the same time share runs of the expression model.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from a2wsgi import WSGIMiddleware
from ray import serve

import mien.cluster.engine  # noqa: F401 - sets how Ray runs
from mien.web.app import create_app
from mien.web.config import WebConfig

# A replica analyzes two photographs at a time; the others are received or sent meanwhile.
_ONGOING = 16
_TARGET_ONGOING = 4
_MAX_QUEUED = 256
_MAX_REPLICAS = 8


class _Analyzer:
    """One replica; its models are loaded before it gets requests."""

    def __init__(self) -> None:
        # Replicas may share a machine, but not a data folder.
        self._folder = tempfile.TemporaryDirectory(prefix="mien-serve-")
        config = replace(
            WebConfig.from_environment(),
            data_dir=Path(self._folder.name),
            # As one of many processes, since it reserves one CPU.
            workers=str(min(os.cpu_count() or 1, 64)),
            camera="",
        )
        self._app = create_app(config, api_only=True)
        self._inference = self._app.extensions["mien"].inference
        self._inference.warm_up()
        self.check_health()

    def check_health(self) -> None:
        """Called by Ray, which replaces a replica that raises.

        Raises:
            RuntimeError: no photograph can be analyzed.
        """
        if problem := self._inference.problem():
            raise RuntimeError(problem)

    def __serve_build_asgi_app__(self) -> Any:
        return WSGIMiddleware(self._app, workers=_ONGOING)


app = serve.deployment(
    serve.ingress()(_Analyzer),
    name="analyze",
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=_ONGOING,
    max_queued_requests=_MAX_QUEUED,
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": _MAX_REPLICAS,
        "target_ongoing_requests": _TARGET_ONGOING,
    },
).bind()
