"""What was found in one image, and what is derived from it: tables and the JSON Schema."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_origin, overload

from mien.errors import InputError, import_extra
from mien.labels import Expression
from mien.types.document import (
    JSON_TYPES,
    Declared,
    Document,
    decode,
    entries,
    is_enum,
    is_part,
    schema_definitions,
)
from mien.types.face import Face

if TYPE_CHECKING:
    import pandas

SCHEMA_VERSION = 1
"""Version of the JSON that :meth:`FrameResult.to_dict` returns; raised by breaking changes only."""


@dataclass(frozen=True, slots=True)
class FrameResult(Document):
    """What was found in one image, or in one frame of a stream.

    A result is a sequence of its faces: ``result[0]``, ``result[:2]``, ``len(result)``.

    Examples:
        >>> import mien
        >>> result = mien.analyze("photo.jpg")
        >>> len(result), result[0].expression["happiness"] > 0.5
        (4, True)
    """

    schema_name: ClassVar[str] = "result"

    faces: Annotated[
        tuple[Face, ...], Declared("From left to right; in a stream, by track_id.", place=1)
    ]
    image_size_wh: Annotated[
        tuple[int, int],
        Declared("Width and height in pixels, after the EXIF orientation was applied.", minimum=1),
    ]
    frame_index: Annotated[
        int | None, Declared("Position in the stream, from 0; null for a still.", minimum=0, rank=1)
    ] = None
    timestamp_s: Annotated[
        float | None,
        Declared(
            "Presentation time in the stream, in seconds; null for a still.",
            digits=6,
            minimum=0,
            rank=1,
        ),
    ] = None
    timings_ms: Annotated[
        Mapping[str, float],
        Declared("Wall time of each step in milliseconds.", digits=3, minimum=0, place=2),
    ] = field(default_factory=dict)
    models: Annotated[
        Mapping[str, str],
        Declared(
            "The name of the model behind each step, and the prior of the probabilities.", place=2
        ),
    ] = field(default_factory=dict)
    source: Annotated[
        str | None,
        Declared(
            "File name, address or what the caller calls the image; - is standard input.",
            place=-1,
            rank=0,
        ),
    ] = None
    warnings: Annotated[
        tuple[str, ...],
        Declared(
            "What to know about the image itself, such as a truncated file; mostly empty.",
            place=2,
            optional=True,
            column="",
        ),
    ] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "faces", tuple(self.faces))
        object.__setattr__(self, "warnings", tuple(self.warnings))
        object.__setattr__(self, "timings_ms", MappingProxyType(dict(self.timings_ms)))
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, index: int | slice) -> Face | tuple[Face, ...]:
        """One face, or a tuple of faces for a slice."""
        if isinstance(index, int) and not -len(self.faces) <= index < len(self.faces):
            raise IndexError(f"expected a face below {len(self.faces)}, the faces of this result")
        return self.faces[index]

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and results are sent between processes.
        values = (getattr(self, item.name) for item in dataclasses.fields(self))
        return FrameResult, tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    def to_dict(self, *, landmarks: bool = False) -> dict[str, Any]:
        """The JSON document of the command line, the web API and the browser.

        Args:
            landmarks: whether to include the coordinates of every landmark.
        """
        # With slots, dataclass makes a new class, for which super() without arguments fails.
        return {"schema_version": SCHEMA_VERSION, **Document.to_dict(self, landmarks=landmarks)}

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """The result that a document describes, up to the declared rounding.

        Args:
            document: as :meth:`to_dict` returns it.

        Raises:
            InputError: not the document of a result, or of another version.
        """
        if isinstance(document, Mapping) and document.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"expected a result of schema_version {SCHEMA_VERSION}, "
                f"got {document.get('schema_version')!r}"
            )
        result: Self = decode(cls, document, "result")
        return result

    def to_rows(self, *, empty: bool = False) -> list[dict[str, Any]]:
        """One flat row per face: the columns of CSV files, Parquet files and data frames.

        Args:
            empty: whether an image without faces has one row, with its source and no face.
        """
        names = self._columns()
        header = _header(self)
        rows = [_row(header, face) for face in self.faces]
        if empty and not rows:
            rows.append(_cells(header, of_frame=True))
        return [{name: row.get(name) for name in names} for row in rows]

    def to_dataframe(self, *, empty: bool = False) -> "pandas.DataFrame":
        """One row per face as a pandas data frame; no rows where there are no faces.

        Args:
            empty: see :meth:`to_rows`.

        Returns:
            A data frame with the columns of `faces.csv` that the result has.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        pandas = import_extra("pandas", "dataframe", "make a data frame")
        return pandas.DataFrame(self.to_rows(empty=empty), columns=self._columns())

    def _columns(self) -> list[str]:
        scores = (face.expression for face in self.faces)
        labels = next((score.labels for score in scores if score is not None), tuple(Expression))
        blendshapes = "blendshapes" in self.models
        if self.frame_index is None:
            return [*face_columns(labels, still=True, blendshapes=blendshapes)]
        return ["source", *face_columns(labels, blendshapes=blendshapes)]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a flat table; with `per_label`, `name` is the beginning of one for each label.

    `path` are the keys that lead to its value in the document, and `only_with` is the part of a
    face that it belongs to, where not every face has it.
    """

    name: str
    path: tuple[str, ...]
    type: type
    rank: int
    per_label: bool = False
    only_with: str = ""
    description: str = ""


def _columns(
    cls: Any,
    path: tuple[str, ...] = (),
    names: Mapping[str, Declared] | None = None,
    *,
    only_with: str = "",
) -> list[_Column]:
    """The columns of a class and its parts by rank; `names` replace its own, by key."""
    found = []
    for entry in entries(cls):
        declared = entry.declared if names is None else names.get(entry.key, Declared(column=""))
        name, annotation = declared.column, entry.annotation
        part_path = path if entry.declared.spread else (*path, entry.key)
        part = only_with or entry.declared.only_with
        if is_part(annotation):
            parts = name if isinstance(name, Mapping) else None
            found += _columns(annotation, part_path, parts, only_with=part)
            continue
        for key, column in declared.names.items():
            text = f"The value of {key} in [0, 1]; empty where it was not measured."
            found.append(
                _Column(column, (*part_path, key), float, declared.rank, False, part, text)
            )
        if declared.names:
            continue
        kind = _cell_type(annotation)
        if name == "" or (name is None and kind is None) or not isinstance(name, str | None):
            continue
        found.append(
            _Column(
                entry.key if name is None else name,
                part_path,
                kind or float,
                declared.rank,
                kind is None,
                part,
                declared.description or entry.declared.description,
            )
        )
    return sorted(found, key=lambda column: column.rank)


def _cell_type(annotation: Any) -> type | None:
    """The type of a table's cells; None where a value has no cell of its own."""
    if annotation in JSON_TYPES:
        kind: type = annotation
        return kind
    texts = (
        get_origin(annotation) is Literal or annotation == tuple[str, ...] or is_enum(annotation)
    )
    return str if texts else None


# The parts of a face that only some landmark models give.
_MOVEMENTS = ("gaze", "action_units", "blendshapes")


@cache
def face_table() -> tuple[tuple[_Column, bool], ...]:
    """All columns in order, and whether they are of the frame's document, else of the face's."""
    found = [(column, True) for column in _columns(FrameResult)]
    found += [(column, False) for column in _columns(Face)]
    return tuple(sorted(found, key=lambda item: item[0].rank))


def face_columns(
    labels: Iterable[Expression], *, still: bool = False, blendshapes: bool = False
) -> dict[str, type]:
    """The columns of the table of faces in order, and the types of their cells.

    Args:
        labels: of the expression model.
        still: whether the table is of stills, which have a source and no statistics of tracks.
        blendshapes: whether faces have blendshapes, and with them action units and gaze.
    """
    labels = tuple(labels)
    parts = {"", *(() if still else ("track",)), *(_MOVEMENTS if blendshapes else ())}
    types: dict[str, type] = {}
    for column, _ in face_table():
        if column.only_with not in parts or (column.name == "source" and not still):
            continue
        if column.per_label:
            types.update({f"{column.name}{label}": column.type for label in labels})
        else:
            types[column.name] = column.type
    return types


def face_column_descriptions() -> dict[str, str]:
    """The columns of the table of faces in streams with their meaning.

    The columns of single labels are described once, as ``p_LABEL``.
    """
    return {
        column.name + "LABEL" * column.per_label: column.description
        for column, _ in face_table()
        if column.name != "source"
    }


def face_row(result: FrameResult, face: Face) -> dict[str, Any]:
    """The row of one face in the table of faces, rounded like the documents.

    Columns of what was not measured are None, but for those of single labels, which are missing.
    """
    return _row(_header(result), face)


def _header(result: FrameResult) -> dict[str, Any]:
    """The document of a result without its faces."""
    return dataclasses.replace(result, faces=(), timings_ms={}).to_dict()


def _row(header: dict[str, Any], face: Face) -> dict[str, Any]:
    return _cells(header, of_frame=True) | _cells(face.to_dict(), of_frame=False)


def _cells(document: dict[str, Any], *, of_frame: bool) -> dict[str, Any]:
    """The cells of a row that are those of the frame, or those of the face."""
    row: dict[str, Any] = {}
    for column, is_of_frame in face_table():
        if is_of_frame is not of_frame:
            continue
        value: Any = document
        for key in column.path:
            value = None if value is None else value.get(key)
        if column.per_label:
            if value is not None:
                row.update({column.name + label: share for label, share in value.items()})
        else:
            row[column.name] = " ".join(value) if isinstance(value, list) else value
    return row


def result_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of :meth:`FrameResult.to_dict`.

    Its ``$defs`` hold ``document`` too, the one document that ``mien image --json`` prints.
    """
    version = {"const": SCHEMA_VERSION}
    definitions = schema_definitions(FrameResult)
    result = definitions["result"]
    result["required"] = ["schema_version", *result["required"]]
    result["properties"] = {"schema_version": version, **result["properties"]}
    error = {
        "type": "object",
        "required": ["source", "error"],
        "properties": {"source": {"type": "string"}, "error": {"type": "string", "minLength": 1}},
    }
    definitions["document"] = {
        "title": "What mien image --json prints",
        "type": "object",
        "required": ["schema_version", "results"],
        "properties": {
            "schema_version": version,
            "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            "errors": {
                "type": "array",
                "description": "Inputs that could not be analyzed.",
                "items": error,
            },
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of mien for one image or one frame",
        "description": "Pixel coordinates are in the original image after its EXIF orientation, "
        "origin at the top left corner. Left and right are left and right in the image. An "
        "expression is apparent: how a face looks, not what a person feels. Fields may be added; "
        "schema_version rises when one changes its meaning or goes.",
        "$ref": "#/$defs/result",
        "$defs": definitions,
    }
