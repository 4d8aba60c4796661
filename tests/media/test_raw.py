"""Camera raw files: a full-size preview is read, a small one is not."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from mien.errors import ImageReadError
from mien.media.images import decode_image, read_image


def jpeg(width: int, height: int, *, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    if orientation > 1:
        exif[ExifTags.Base.Orientation] = orientation
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", exif=exif)
    return file.getvalue()


def raw_file(
    *previews: bytes,
    sensor: tuple[int, int] | None = (640, 480),
    magic: bytes = b"II*\0",
    dng: bool = True,
    orientation: int = 1,
) -> bytes:
    """A file with the structure of a TIFF: a thumbnail, and the sensor in a directory below."""
    first: list[tuple[int, int, int]] = [(254, 4, 1), (256, 4, 16), (257, 4, 8), (262, 3, 2)]
    first += [(274, 3, orientation), (330, 4, 8 + 2 + 12 * (6 + dng) + 4)]
    first += [(50706, 4, 0x0401)] if dng else []
    below = (
        [(256, 4, sensor[0]), (257, 4, sensor[1]), (258, 3, 16), (262, 3, 32803)] if sensor else []
    )
    data = magic + struct.pack("<I", 8)
    for entries in (first, below):
        data += struct.pack("<H", len(entries))
        data += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        data += bytes(4)
    return data + bytes(100) + b"".join(preview + bytes(10) for preview in previews)


def test_reads_the_full_size_preview() -> None:
    decoded = decode_image(raw_file(jpeg(160, 120), jpeg(632, 474)))
    assert decoded.pixels.shape == (474, 632, 3)
    assert decoded.warnings == (
        "a camera raw file (DNG): its JPEG preview of 632×474 pixels was read",
    )


@pytest.mark.parametrize("own", [1, 6])
def test_applies_the_orientation_of_the_file_or_of_the_preview(own: int) -> None:
    image = read_image(raw_file(jpeg(640, 480, orientation=own), orientation=6))
    assert image.shape == (640, 480, 3)
    assert image[:300].max() < 20
    assert image[340:].min() > 235


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "DNG"),
        ({"dng": False}, "TIFF of a sensor"),  # NEF, ARW, PEF
        ({"magic": b"IIRO"}, "ORF"),
        ({"magic": b"IIU\0"}, "RW2"),
    ],
)
@pytest.mark.parametrize("previews", [[], [jpeg(160, 120)], [jpeg(160, 120), jpeg(320, 240)]])
def test_rejects_small_previews(previews: list[bytes], options: dict[str, Any], kind: str) -> None:
    with pytest.raises(ImageReadError, match=rf"not supported: a camera raw file \({kind}\).*JPEG"):
        read_image(raw_file(*previews, **options))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"FUJIFILMCCD-RAW 0201FF", "RAF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
        (b"II*\0\x10\0\0\0CR\2\0", "CR2"),
        (b"FOVb\0\0\0\0", "X3F"),
        (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
    ],
)
def test_needs_a_large_preview_where_the_sensor_is_unknown(head: bytes, kind: str) -> None:
    with pytest.raises(ImageReadError, match=rf"camera raw file \({kind}\), and its largest"):
        read_image(head + bytes(100) + jpeg(1620, 1080))
    decoded = decode_image(head + bytes(100) + jpeg(1620, 1080) + bytes(9) + jpeg(3000, 2000))
    assert decoded.pixels.shape == (2000, 3000, 3)
    assert f"a camera raw file ({kind})" in decoded.warnings[0]


def test_does_not_take_sensor_values_for_a_preview() -> None:
    data = bytearray(jpeg(640, 480))
    data[data.index(b"\xff\xc0") + 1] = 0xC3  # lossless, as in DNG and CR2 files
    with pytest.raises(ImageReadError, match="it has no JPEG preview"):
        read_image(raw_file(bytes(data)))
