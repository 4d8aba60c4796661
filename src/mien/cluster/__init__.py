"""Batches of images and videos on many processes or machines, with Ray.

The only package that imports ray; it needs the extra ``cluster``. A run is a plan of parts
(:mod:`mien.cluster.plan`); a worker analyzes a part and commits its tables in one step
(:mod:`mien.cluster.worker`); the engine gives parts to workers and replaces those that die
(:mod:`mien.cluster.engine`); :func:`mien.cluster.run.run_batch` ties them together.
:func:`analyze` is for pipelines of your own.
"""

from typing import Any

from mien.cluster.engine import require_ray
from mien.cluster.inputs import URI_COLUMN
from mien.cluster.output import carried_names
from mien.cluster.storage import check_regular, is_local, read
from mien.config import Settings
from mien.errors import InputError, MienError, SettingError
from mien.media.images import open_image
from mien.pipeline import FacePipeline
from mien.tables.csv_files import arrow_types
from mien.types import face_columns, face_row

__all__ = ["analyze"]

_BATCH = 32


def analyze(
    dataset: Any,
    *,
    image: str | None = None,
    settings: Settings | None = None,
    workers: int = 1,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    batch_size: int = _BATCH,
) -> Any:
    """The faces of a dataset's images, computed where and when Ray reads the result.

    >>> import ray, mien.cluster
    >>> images = ray.data.from_items([{"uri": "a.jpg", "site": "x"}])   # doctest: +SKIP
    >>> mien.cluster.analyze(images).write_parquet("faces")             # doctest: +SKIP

    Args:
        dataset: a ``ray.data.Dataset``, one row for each image.
        image: column with the images: encoded (bytes) or pixels ``(H, W, 3)`` RGB uint8. None: the
            column ``uri`` has their paths or addresses.
        settings: of the pipeline.
        workers: number of processes, each with a pipeline that stays loaded.
        cpus_per_worker, gpus_per_worker: what each of them reserves.
        batch_size: number of images that a worker takes at once.

    Returns:
        A ``ray.data.Dataset`` with a row for each face: the columns of ``faces.csv``, ``error``,
        and the other columns of the image. An image without a face, or one that cannot be read,
        has one row whose ``expression`` is empty; ``error`` says why it cannot be read.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: not a dataset, or it has no such column.
        SettingError: fewer than one worker or image.
    """
    require_ray()
    if not hasattr(dataset, "map_batches"):
        raise InputError(
            f"expected a ray.data.Dataset, got {type(dataset).__name__}: make one, for example by "
            "ray.data.from_items([{'uri': 'photo.jpg'}]), or analyze folders with `mien batch`"
        )
    if workers < 1 or batch_size < 1:
        raise SettingError(
            f"expected workers and batch_size of at least 1, got {workers} and {batch_size}"
        )
    column = image or URI_COLUMN
    names = dataset.columns() or []
    if column not in names:
        raise InputError(
            f"expected a column {column!r} with the images, got {', '.join(names) or 'none'}; "
            "name it with image="
        )
    return dataset.map_batches(
        _Analyzer,
        fn_constructor_args=(column, settings or Settings()),
        batch_size=batch_size,
        batch_format="numpy",
        concurrency=workers,
        num_cpus=cpus_per_worker,
        num_gpus=gpus_per_worker or None,
    )


class _Analyzer:
    """What one worker does; the pipeline is built once."""

    def __init__(self, column: str, settings: Settings) -> None:
        self._column = column
        self._pipeline = FacePipeline(settings)
        labels = self._pipeline.classifier.spec.labels
        self._types = {**face_columns(labels), "error": str}

    def __call__(self, batch: dict[str, Any]) -> Any:
        import pyarrow

        kinds = arrow_types()
        rows: list[dict[str, Any]] = []
        source: list[int] = []
        for number, value in enumerate(batch[self._column]):
            made = self._rows(value)
            rows += made
            source += [number] * len(made)
        columns = {
            name: pyarrow.array([row.get(name) for row in rows], kinds[kind])
            for name, kind in self._types.items()
        }
        # The pixels would be repeated for each face.
        others = [name for name in batch if name == URI_COLUMN or name != self._column]
        for name, kept in carried_names(columns, others).items():
            values = batch[name]
            columns[kept] = pyarrow.array([values[number] for number in source])
        return pyarrow.table(columns)

    def _rows(self, value: Any) -> list[dict[str, Any]]:
        limit = self._pipeline.settings.max_megapixels
        name = value if isinstance(value, str) else "the image"
        try:
            if isinstance(value, str):
                if is_local(value):
                    check_regular(value)
                value = read(value)
            result = self._pipeline.analyze_opened(open_image(value, max_megapixels=limit))
        except (MienError, OSError) as error:
            return [{"error": str(error).replace("the given bytes", name)}]
        return [face_row(result, face) for face in result.faces] or [{}]
