"""The expression model of streams."""

import copy
from weakref import WeakKeyDictionary

from mien.expression import build_classifier
from mien.expression.ensemble import EnsembleClassifier
from mien.pipeline import FacePipeline
from mien.runtime.catalog import STREAM_EXPRESSION_MODEL

_quick: WeakKeyDictionary[FacePipeline, FacePipeline] = WeakKeyDictionary()


def for_streams(pipeline: FacePipeline) -> FacePipeline:
    """A pipeline with `quick` where its settings name no expression model, else the same.

    In a stream, labels are smoothed, and the time of the model counts. All other models are shared.
    A classifier of one's own stays.
    """
    settings = pipeline.settings
    if settings.model != "default" or not isinstance(pipeline.classifier, EnsembleClassifier):
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
    _quick[pipeline].neutral = pipeline.neutral
    return _quick[pipeline]
