"""Adding nodes, or another model, to a model file, without the ``onnx`` package.

An ONNX file is a protocol buffer: a list of numbered fields, some of which hold such lists
themselves. The numbers are those of onnx.proto (https://github.com/onnx/onnx), and the encoding is
described at https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.errors import ModelFileError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _OPSETS, _METADATA = 7, 8, 14
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _TENSOR_NAME = 1, 2, 3, 8
_FLOAT, _INT64, _INT_ATTRIBUTE = 1, 7, 2

_Weights = npt.NDArray[np.float32] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: its ONNX operator, names of its inputs and output, and whole-number facts."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, int] = field(default_factory=dict)


def extend_model(
    model: bytes,
    nodes: Iterable[Node],
    weights: Mapping[str, _Weights],
    outputs: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    more_outputs: Mapping[str, int] | None = None,
) -> bytes:
    """A model file with more nodes at its end.

    Args:
        model: the file.
        nodes: in the order in which they run.
        weights: float32 or int64, by the names under which the nodes use them.
        outputs: names and widths of all outputs of the result, each ``(batch, width)`` float32;
            None keeps those of the file.
        metadata: replaces that of the file; None keeps it.
        more_outputs: the same for outputs beside those of the file.

    Raises:
        ModelFileError: the file is not an ONNX model.
    """
    added = [_field(_NODE, _node(node)) for node in nodes]
    added += [_field(_INITIALIZER, _tensor(name, values)) for name, values in weights.items()]
    dropped = () if outputs is None else (_OUTPUT,)
    described = {**(outputs or {}), **(more_outputs or {})}
    added += [_field(_OUTPUT, _matrix_info(*info)) for info in described.items()]
    extended = _with_graph(model, b"".join(added), dropped)
    if metadata is None:
        return extended
    kept = (raw for number, raw, _ in _fields(extended) if number != _METADATA)
    texts = (_field(1, key) + _field(2, text) for key, text in metadata.items())
    return b"".join(kept) + b"".join(_field(_METADATA, text) for text in texts)


def append_model(
    model: bytes,
    other: bytes,
    names: Mapping[str, str],
    prefix: str,
    outputs: Mapping[str, int] | None = None,
) -> bytes:
    """A model file with the nodes and weights of another at its end.

    Both must use operators that mean the same in the first one's version.

    Args:
        model, other: the files.
        names: what the inputs and outputs of the other are called in the result.
        prefix: of all its other names, which no name of the first has.
        outputs: names and widths of further outputs, each ``(batch, width)`` float32.

    Raises:
        ModelFileError: a file is not an ONNX model.
    """
    renamed = {"": "", **names}

    def new(name: bytes) -> str:
        return renamed.get(name.decode(), prefix + name.decode())

    added = []
    for number, _, value in _fields(_graph(other)):
        if number == _NODE:
            named = (_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME)
            parts = (_field(n, new(v)) if n in named else raw for n, raw, v in _fields(value))
        elif number == _INITIALIZER:
            parts = (
                _field(n, new(v)) if n == _TENSOR_NAME else raw for n, raw, v in _fields(value)
            )
        else:
            continue
        added.append(_field(number, b"".join(parts)))
    added += [_field(_OUTPUT, _matrix_info(*info)) for info in (outputs or {}).items()]
    return _with_graph(model, b"".join(added))


def _with_graph(model: bytes, added: bytes, dropped: tuple[int, ...] = ()) -> bytes:
    parts = []
    for number, whole, value in _fields(model):
        if number == _GRAPH:
            kept = (raw for inner, raw, _ in _fields(value) if inner not in dropped)
            parts.append(_field(_GRAPH, b"".join(kept) + added))
        else:
            parts.append(whole)
    return b"".join(parts)


def _graph(model: bytes) -> bytes:
    return next((value for number, _, value in _fields(model) if number == _GRAPH), b"")


def free_prefix(model: bytes, wanted: str) -> str:
    """A prefix that no value, node or weight in a model file has: `wanted`, or longer."""
    found = set()
    for number, _, value in _fields(_graph(model)):
        named = {_NODE: (_NODE_INPUT, _NODE_OUTPUT), _INITIALIZER: (_TENSOR_NAME,)}.get(number, ())
        found |= {inner for at, _, inner in _fields(value) if at in named} if named else set()
    while any(name.startswith(wanted.encode()) for name in found):
        wanted += "_"
    return wanted


def opset_of(model: bytes) -> int:
    """The version of ONNX's operators that a model uses; 0 where it names none."""
    for number, _, value in _fields(model):
        if number == _OPSETS:
            facts = {inner: raw for inner, raw, _ in _fields(value)}
            if 2 in facts and not next((v for n, _, v in _fields(value) if n == 1), b""):
                return _varint(facts[2], 1)[0]
    return 0


def _fields(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, encoded field, and for bytes their content, of each field."""
    at = 0
    try:
        while at < len(data):
            start = at
            key, at = _varint(data, at)
            kind, value = key & 7, b""
            if kind == _VARINT:
                _, at = _varint(data, at)
            elif kind == _BYTES:
                length, at = _varint(data, at)
                value, at = data[at : at + length], at + length
            elif kind in (_FIXED32, _FIXED64):
                at += 4 if kind == _FIXED32 else 8
            if kind not in (_VARINT, _BYTES, _FIXED32, _FIXED64) or at > len(data):
                raise ModelFileError("expected an ONNX model, but its file is damaged")
            yield key >> 3, data[start:at], value
    except IndexError:
        raise ModelFileError("expected an ONNX model, but its file is cut off") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            return value, at


def _encoded(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _encoded(number << 3 | _VARINT) + _encoded(value)
    content = value.encode() if isinstance(value, str) else value
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + content


def _node(node: Node) -> bytes:
    attributes = (
        _field(1, name) + _field(3, value) + _field(20, _INT_ATTRIBUTE)
        for name, value in node.attributes.items()
    )
    return b"".join(
        [
            *(_field(1, name) for name in node.inputs),
            _field(2, node.output),
            _field(3, node.output),
            _field(4, node.operator),
            *(_field(5, attribute) for attribute in attributes),
        ]
    )


def _tensor(name: str, values: _Weights) -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    whole = values.dtype == np.int64
    content = values.astype("<i8" if whole else "<f4").tobytes()
    kind = _field(2, _INT64 if whole else _FLOAT)
    return dims + kind + _field(_TENSOR_NAME, name) + _field(9, content)


def _matrix_info(name: str, width: int) -> bytes:
    shape = _field(1, _field(2, "batch")) + _field(1, _field(1, width))
    kind = _field(1, _field(1, _FLOAT) + _field(2, shape))
    return _field(1, name) + _field(2, kind)
