"""Rebuild src/mien/models/canonical-face.npy: the vertices of MediaPipe's canonical face.

    python tools/import_canonical_face.py [--check]

They lie in the Face Landmarker bundle (Apache-2.0), which is fetched from Google's address and
verified by its checksum: geometry_pipeline_metadata_landmarks.binarypb, a GeometryPipelineMetadata
whose field 1 is the mesh, whose field 3 are the vertices (x, y, z in cm, u, v).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model_import.packages import FACE_LANDMARKER, read_member

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src/mien/models/canonical-face.npy"
MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a protocol buffer that has no 64-bit fields."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            varint()
            continue
        size = 4 if kind == 5 else varint()
        yield number, message[at : at + size]
        at += size


def main() -> int:
    """Write the file, or compare it; return the exit status."""
    metadata = read_member(FACE_LANDMARKER.fetch(ROOT / "build/wheels"), MEMBER)
    (mesh,) = [content for number, content in fields(metadata) if number == 1]
    values = b"".join(content for number, content in fields(mesh) if number == 3)
    vertices = np.frombuffer(values, "<f4").reshape(468, 5)[:, :3]
    # mien's axes: x to the right of the image, y down, z away from the camera.
    canonical = np.ascontiguousarray(vertices * np.float32([1, -1, -1]))
    if "--check" in sys.argv[1:]:
        return int(not np.array_equal(np.load(TARGET), canonical))
    np.save(TARGET, canonical)
    return 0


if __name__ == "__main__":
    sys.exit(main())
