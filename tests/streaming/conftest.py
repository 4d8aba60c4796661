"""One pipeline for all tests of streams: its models are loaded once."""

import pytest

from mien.pipeline import FacePipeline


@pytest.fixture(scope="session")
def pipeline() -> FacePipeline:
    return FacePipeline()
