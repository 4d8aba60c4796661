"""The expression model of streams."""

import copy
from weakref import WeakKeyDictionary

from mien.expression import build_classifier
from mien.expression.neural import NeuralClassifier
from mien.pipeline import FacePipeline
from mien.runtime.catalog import DEFAULT_EXPRESSION_MODEL, STREAM_EXPRESSION_MODEL

_quick: WeakKeyDictionary[FacePipeline, FacePipeline] = WeakKeyDictionary()


def for_streams(pipeline: FacePipeline) -> FacePipeline:
    """A pipeline with `quick` where its settings name no expression model, else the same.

    In a stream, labels are smoothed, and half the time of the model counts. All other models are
    shared. A classifier of one's own stays, and so does that of the web server, which classifies
    the faces of photographs and streams together.
    """
    settings = pipeline.settings
    built = isinstance(pipeline.classifier, NeuralClassifier)
    is_default = built and pipeline.classifier.name == DEFAULT_EXPRESSION_MODEL
    if settings.model != "default" or not is_default:
        return pipeline
    if pipeline not in _quick:
        found = copy.copy(pipeline)
        found.classifier = build_classifier(
            STREAM_EXPRESSION_MODEL,
            prior=settings.prior,
            threads=settings.threads,
            provider=settings.provider,
        )
        _quick[pipeline] = found
    return _quick[pipeline]
