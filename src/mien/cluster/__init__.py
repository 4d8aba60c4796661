"""Batches of images and videos on many processes or machines, with Ray.

The only package that imports ray; it needs the extra ``cluster``. A run is a plan of parts
(:mod:`mien.cluster.plan`); a worker analyzes a part and commits its tables in one step
(:mod:`mien.cluster.worker`); the engine gives parts to workers and replaces those that die
(:mod:`mien.cluster.engine`); :func:`mien.cluster.run.run_batch` ties them together.
"""

from mien.cluster.dataset import analyze

__all__ = ["analyze"]
