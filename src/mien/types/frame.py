"""What was found in one image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtraError
from mien.types.face import Face

if TYPE_CHECKING:
    import pandas

SCHEMA_VERSION = 1
"""Version of the JSON that :meth:`FrameResult.to_dict` gives; raised by breaking changes only."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What was found in one image, or in one frame of a stream.

    Attributes:
        faces: from left to right; in a stream, by track_id.
        image_size_wh: width and height in pixels, after the EXIF orientation was applied.
        frame_index: position in the stream, from 0; None for a still.
        timestamp_s: presentation time in the stream, in seconds; None for a still.
        timings_ms: wall time of each stage in milliseconds.
        models: the name of the model behind each stage, and the prior of the expressions.
        source: file name, address or whatever the caller calls the image.
    """

    faces: tuple[Face, ...]
    image_size_wh: tuple[int, int]
    frame_index: int | None = None
    timestamp_s: float | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "faces", tuple(self.faces))
        object.__setattr__(self, "timings_ms", MappingProxyType(dict(self.timings_ms)))
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and results cross process borders.
        return (
            FrameResult,
            (
                self.faces,
                self.image_size_wh,
                self.frame_index,
                self.timestamp_s,
                dict(self.timings_ms),
                dict(self.models),
                self.source,
            ),
        )

    def to_dict(self, *, landmarks: bool = False) -> dict[str, Any]:
        """The JSON document of the command line, the web API and the browser.

        Args:
            landmarks: whether to include every landmark's coordinates.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "image_size_wh": list(self.image_size_wh),
            "frame_index": self.frame_index,
            "timestamp_s": None if self.timestamp_s is None else round(self.timestamp_s, 4),
            "faces": [face.to_dict(landmarks=landmarks) for face in self.faces],
            "timings_ms": {name: round(ms, 3) for name, ms in self.timings_ms.items()},
            "models": dict(self.models),
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row per face: the columns of CSV files, Parquet files and data frames."""
        return [flat_row(self, face) for face in self.faces]

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row per face as a pandas data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtraError("pandas", "dataframe", "make a data frame") from None
        return pandas.DataFrame(self.to_rows())


def flat_row(result: FrameResult, face: Face) -> dict[str, Any]:
    """The flat table's row of one face; keys in the order of the columns."""
    document = face.to_dict()
    row: dict[str, Any] = {
        "source": result.source,
        "frame_index": result.frame_index,
        "timestamp_s": result.timestamp_s,
        "track_id": face.track_id,
        **document["box"],
        "score": document["score"],
        "expression": None,
        "uncertain": None,
    }
    if face.expression is not None:
        row["expression"] = face.expression.label.value
        row["uncertain"] = face.expression.uncertain
        if face.expression_raw is not None:
            row["expression_raw"] = face.expression_raw.top.value
            raw = face.expression_raw.to_dict()["probabilities"]
            row.update({f"p_raw_{label}": probability for label, probability in raw.items()})
        for label, probability in document["expression"]["probabilities"].items():
            row[f"p_{label}"] = probability
    if document["quality"] is not None:
        row.update(document["quality"])
        row["reasons"] = " ".join(document["quality"]["reasons"])
    for part in ("affect", "signals"):
        if document[part] is not None:
            row.update({k: v for k, v in document[part].items() if k != "method"})
    if face.track is not None:
        row.update(document["track"])
    return row
