"""The models that visitors adapted to their own labels."""

import tempfile
import threading
from pathlib import Path
from typing import Any

from flask import g

from mien.expression import ExpressionClassifier, build_classifier
from mien.expression.neural import NeuralClassifier
from mien.web.errors import ProblemError
from mien.web.security import owner
from mien.web.services import services
from mien.web.store import jobs
from mien.web.videos import job_document

ADAPT = "adapt"
"""The task of jobs that adapt a model."""

MODEL = "model.onnx"
"""The file of such a job that is the model."""

_KEPT = 2
_models: dict[str, ExpressionClassifier] = {}
_models_lock = threading.Lock()


def own_models() -> list[dict[str, Any]]:
    """The jobs of the visitor whose results have a model."""
    found = [job_document(row) for row in adaptations()]
    return [job for job in found if any(entry["name"] == MODEL for entry in job["files"])]


def own_classifier(job_id: str) -> ExpressionClassifier:
    """The adapted model of a job that the visitor may see.

    Raises:
        ProblemError: there is none.
    """
    database = services().database
    job = jobs.find_job(database, job_id, g.visitor.id)
    found = jobs.find_files(database, job_id, role="result") if job else []
    entry = next((one for one in found if one["name"] == MODEL), None)
    if entry is None:
        raise ProblemError(404, "not_found", "There is no such model, or it was deleted.")
    with _models_lock:
        classifier = _models.pop(entry["id"], None) or _load(entry["id"])
        # The last used one is the last to go.
        _models[entry["id"]] = classifier
        for old in list(_models)[:-_KEPT]:
            del _models[old]
    return classifier


def _load(file_id: str) -> ExpressionClassifier:
    settings = services().inference.pipeline.settings
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        path = Path(folder) / MODEL
        jobs.copy_file(services().database, file_id, path)
        classifier = build_classifier(path, threads=settings.threads, provider=settings.provider)
        assert isinstance(classifier, NeuralClassifier)
        classifier.warm_up()  # while the file is there
    return classifier


def adaptations() -> list[dict[str, Any]]:
    rows = jobs.list_jobs(services().database, owner()) if owner() else []
    return [row for row in rows if row["options"].get("task") == ADAPT]
