"""Unreadable images: errors that name them, and bounded memory."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

import mien
from mien.errors import ImageReadError
from mien.media.images import decode_image, open_image, read_image

KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF"]


@cache
def picture(kind: str, size_wh: tuple[int, int] = (24, 16)) -> bytes:
    pillow_heif.register_heif_opener()
    noise = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    file = io.BytesIO()
    options: dict[str, Any] = {"lossless": kind == "WEBP", "interlace": 0}
    Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


def patched(data: bytes, at: int, layout: str, *values: int) -> bytes:
    new = struct.pack(layout, *values)
    return data[:at] + new + data[at + len(new) :]


def bomb(kind: str) -> bytes:
    """A file of a few hundred bytes with far more pixels in its header."""
    data = picture(kind)
    if kind == "PNG":  # the header chunk has a checksum
        header = patched(data[12:29], 4, ">II", 20_000, 20_000)
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    if kind == "PPM":
        return data.replace(b"24 16", b"20000 20000")
    if kind == "TIFF":  # tags 256 and 257, each one long number
        for tag, value in ((256, 24), (257, 16)):
            at = data.index(struct.pack("<HHII", tag, 4, 1, value))
            data = patched(data, at + 8, "<I", 20_000)
        return data
    fields: dict[str, tuple[int, str, tuple[int, ...]]] = {
        # Height and width follow the marker SOF0, its length and the precision.
        "JPEG": (data.find(b"\xff\xc0") + 5, ">HH", (20_000, 20_000)),
        # 14 bits each of width and height, less one.
        "WEBP": (data.find(b"VP8L") + 9, "<I", (16_383 | 16_383 << 14,)),
        "GIF": (6, "<HH", (20_000, 20_000)),
        "BMP": (18, "<ii", (20_000, 20_000)),
        "AVIF": (data.find(b"ispe") + 8, ">II", (20_000, 20_000)),
        "HEIF": (data.find(b"ispe") + 8, ">II", (20_000, 20_000)),
    }
    at, layout, values = fields[kind]
    return patched(data, at, layout, *values)


@pytest.mark.parametrize("kind", KINDS)
def test_rejects_decompression_bombs(kind: str) -> None:
    with pytest.raises(ImageReadError) as caught:
        read_image(bomb(kind))
    message = str(caught.value)
    if kind not in ("AVIF", "HEIF", "WEBP"):  # their libraries have limits of their own
        assert "20000×20000" in message
        assert "max_megapixels" in message


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_rejects_bombs_before_memory_is_allocated(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / kind).write_bytes(bomb(kind))
    # A valid one: 20,000 × 20,000 black pixels in 49 KB.
    rows = zlib.compressobj()
    body = b"".join(rows.compress(bytes(2501)) for _ in range(20_000)) + rows.flush()
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    (tmp_path / "valid bomb").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content)) + tag + content
            + struct.pack(">I", zlib.crc32(tag + content))
            for tag, content in chunks
        )
    )  # fmt: skip
    # Not ru_maxrss, which includes the memory of the parent process at the fork.
    script = r"""
import os, re, sys
from mien.errors import ImageReadError
from mien.media.images import decode_image, read_image
from pillow_heif import HeifImageFile
def peak_kb():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1])
read_image(sys.argv[2])
before = peak_kb()
for name in os.listdir(sys.argv[1]):
    try:
        read_image(os.path.join(sys.argv[1], name))
    except ImageReadError:
        print("rejected", name)
print(peak_kb() - before)
"""
    sample = tmp_path.parent / "sample.avif"
    sample.write_bytes(picture("AVIF"))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(sample)],
        capture_output=True,
        text=True,
        check=True,
    )
    *rejected, grown_kb = done.stdout.splitlines()
    assert len(rejected) == len(KINDS) + 1
    assert int(grown_kb) < 40_000  # the smallest of them would take 400 MB at one byte a pixel


def test_limit_of_megapixels_is_configurable() -> None:
    data = picture("PNG", (110, 100))
    assert read_image(data).shape == (100, 110, 3)
    with pytest.raises(ImageReadError, match=r"at most 0\.01 megapixels, got 110×100"):
        read_image(data, max_megapixels=0.01)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
def test_rejects_truncated_files_that_hold_no_part(kind: str, tmp_path: Path) -> None:
    data = picture(kind, (64, 64))
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * 0.02)])
    with pytest.raises(ImageReadError, match=r"cut\.img"):
        read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_reads_truncated_files_as_far_as_they_go(kind: str, share: float) -> None:
    data = picture(kind, (256, 256))
    whole = read_image(data)
    decoded = decode_image(data[: int(len(data) * share)])
    assert decoded.pixels.shape == whole.shape
    same = (decoded.pixels == whole).all(axis=(1, 2)).mean()
    assert same == pytest.approx(share, abs=0.3)
    [warning] = decoded.warnings
    found = re.fullmatch(
        r"the file is truncated or damaged: (?:about (\d+)% of the picture was|all rows were) read"
        "(; faces in the rest are missing)?",
        warning,
    )
    assert found, warning
    percent = int(found[1] or 100)
    assert percent == pytest.approx(100 * same, abs=13)
    assert (found[2] is not None) == (percent < 50)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("lost", [2, 20])
def test_reads_all_rows_of_jpeg_files_without_an_end(
    lost: int, mode: str, progressive: bool
) -> None:
    file = io.BytesIO()
    shades = np.tile(np.arange(250, dtype=np.uint8), (200, 1))
    Image.fromarray(shades).convert(mode).save(file, "JPEG", progressive=progressive)
    whole = read_image(file.getvalue())
    decoded = decode_image(file.getvalue()[:-lost])
    assert np.abs(decoded.pixels.astype(int) - whole)[:180].max() <= 8
    assert "all rows were read" in decoded.warnings[0] or "9" in decoded.warnings[0]
    assert ("less detail" in decoded.warnings[0]) == progressive


def test_reads_jpeg_files_whose_end_was_never_written() -> None:
    data = picture("JPEG", (200, 200))
    half = data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    decoded = decode_image(half)
    assert (decoded.pixels[-40:] == 128).all()
    assert "truncated" in decoded.warnings[0]
    assert decode_image(data + bytes(1000)).warnings == ()  # padding after a whole file


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_faces_at_the_end_of_a_truncated_file_are_cut_off(
    samples: dict[str, Path], orientation: int
) -> None:
    turned: Any = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
    with Image.open(samples["group"]) as upright:
        picture = upright.transpose(turned[orientation]) if orientation > 1 else upright.copy()
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(file, "JPEG", quality=90, exif=exif)
    cut = file.getvalue()[: len(file.getvalue()) // 2]
    opened = open_image(cut)
    assert opened.read is not None
    pixels = opened.pixels
    assert isinstance(pixels, np.ndarray)
    filled = np.all(pixels == 128, axis=2)
    box = opened.read
    outside = np.ones_like(filled)
    outside[int(box.y_min) : int(box.y_max), int(box.x_min) : int(box.x_max)] = False
    assert filled[outside].all()
    assert 0.4 < outside.mean() < 0.6
    whole = mien.analyze(file.getvalue()).faces
    for face in mien.analyze(cut):
        assert face.quality is not None
        assert face.landmarks is not None
        x, y = face.landmarks.points[:, :2].T
        inside = (x >= box.x_min) & (x < box.x_max) & (y >= box.y_min) & (y < box.y_max)
        assert ("cut off" in face.quality.reasons) == (inside.mean() < 0.75)
    assert all("cut off" not in face.quality.reasons for face in whole if face.quality)


@pytest.mark.parametrize("kept", [200, 700])
def test_rejects_files_that_end_before_the_picture(kept: int) -> None:
    with pytest.raises(ImageReadError, match="damaged or truncated"):
        read_image(picture("JPEG", (64, 64))[:kept] if kept < 600 else picture("PNG")[:40])


def test_logs_warnings(caplog: pytest.LogCaptureFixture) -> None:
    read_image(picture("JPEG", (64, 64))[:-2])
    assert "the given bytes: the file is truncated" in caplog.text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"This is a letter, not a photograph.\n", "got text"),
        ("Grüße aus Köln, ohne Bild.".encode(), "got text"),
        ("Grüße aus Köln, ohne Bild.".encode("latin-1"), "got text"),
        (("Без картины. " * 20).encode(), "got text"),
        (bytes.fromhex("b6935ab7945bba93") * 18, "unknown data that starts with b6 93 5a"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (bytes(1000), "a file of zeros"),
        (b"\x07\x01\x02\x03\x04\x05\x06\x07\x08", "unknown data that starts with 07 01"),
    ],
)
def test_reports_the_type_of_renamed_files(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match=rf"photo\.jpg: expected an image.*{found}"):
        read_image(path)


def test_reports_paths_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"nowhere\.jpg: no such file"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageReadError, match="got a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageReadError, match="URLs are not supported"):
        read_image("https://example.org/photo.jpg")
    with pytest.raises(ImageReadError, match="cannot be opened"):
        read_image("photo\0.jpg")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every file")
def test_reports_missing_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(picture("JPEG"))
    path.chmod(0)
    with pytest.raises(ImageReadError, match=r"secret\.jpg: the file cannot be opened: Permission"):
        read_image(path)


def test_rejects_files_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "huge.webp"
    with path.open("wb") as file:
        file.write(picture("WEBP"))
        file.truncate(2 << 30)  # sparse
    with pytest.raises(ImageReadError, match=r"huge\.webp: expected an image of at most 826 MiB"):
        read_image(path)


def test_rejects_endless_streams() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            assert 0 < size < 100_000_000, "an endless stream must not be read whole"
            return b"\xff\xd8\xff" + bytes(size - 3)

    with pytest.raises(ImageReadError, match="at most 71 MiB, got more"):
        read_image(Endless(), max_megapixels=1)  # type: ignore[arg-type]


def test_rejects_files_that_are_not_open_for_reading(tmp_path: Path) -> None:
    with (
        (tmp_path / "a.jpg").open("wb") as file,
        pytest.raises(ImageReadError, match="open for reading"),
    ):
        read_image(file)
    with pytest.raises(ImageReadError, match="open for reading"):
        read_image(file)


def test_rejects_text_streams(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("JPEG"))
    with path.open() as file, pytest.raises(ImageReadError, match=r"photo\.jpg.*text mode.*'rb'"):
        read_image(file)  # type: ignore[arg-type]
    with pytest.raises(ImageReadError, match=r"opened in text mode"):
        read_image(io.StringIO("Dear reader"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source",
    ["data:image/jpeg;base64," + "!" * 10**5, "data:," + "x" * 10**5, "x" * 10**5, "y/" * 10**5],
    ids=["data URL", "data URL of text", "long name", "long path"],
)
def test_errors_repeat_little_of_the_input(source: str) -> None:
    with pytest.raises(ImageReadError) as caught:
        read_image(source)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "kind", "advice"),
    [
        ("pillow_heif", "HEIF", r"pip install 'mien\[heif\]'"),
        ("PIL.AvifImagePlugin", "AVIF", "pip install 'Pillow>=11.3'"),
    ],
)
def test_reports_formats_that_are_not_installed(
    module: str, kind: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "photo"
    path.write_bytes(picture(kind))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageReadError, match=f"photo: .*{advice}"):
        read_image(path)


def test_reports_formats_missing_in_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture("WEBP")
    monkeypatch.setattr("PIL.WebPImagePlugin.SUPPORTED", False)
    with pytest.raises(ImageReadError, match="built without WEBP"):
        read_image(data)


def test_a_png_with_damaged_data_that_can_be_decoded_is_said() -> None:
    # As where damaged data become more bytes than the rows have: their own sum is not read.
    file = io.BytesIO()
    Image.fromarray(np.full((900, 16, 3), 99, np.uint8)).save(file, "PNG", compress_level=0)
    data = file.getvalue()
    header = patched(data[12:29], 8, ">I", 500)
    whole = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    at = whole.index(b"IDAT") + 500
    (warning,) = open_image(patched(whole, at, ">4B", 1, 2, 3, 4)).warnings
    assert "parts of the picture may be wrong" in warning
    assert not open_image(whole + whole[8:]).warnings


def test_a_png_whose_data_end_before_its_rows_is_said() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (40, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    content = buffer.getvalue()

    def with_rows(count: int) -> bytes:
        rows = b"".join(b"\0" + row.tobytes() for row in pixels[:count])
        body = b"IDAT" + zlib.compress(rows)
        size, check = struct.pack(">I", len(body) - 4), struct.pack(">I", zlib.crc32(body))
        return content[:33] + size + body + check + content[-12:]

    assert warnings_of(with_rows(40)) == ()
    (warning,) = warnings_of(with_rows(24))
    assert warning.startswith("the file is truncated or damaged: about 60% of the picture was read")
    dark = io.BytesIO()
    Image.fromarray(np.zeros_like(pixels)).save(dark, "PNG")
    assert warnings_of(dark.getvalue()) == ()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparent_parts_are_said(kind: str) -> None:
    picture = Image.new("RGBA", (40, 40), (200, 100, 50, 255))
    buffer = io.BytesIO()
    picture.save(buffer, kind, lossless=True)
    assert warnings_of(buffer.getvalue()) == ()
    picture.paste((0, 0, 0, 0), (0, 0, 40, 10))
    buffer = io.BytesIO()
    picture.save(buffer, kind, lossless=True)
    expected = "25% of the picture is transparent, and was read as white"
    assert warnings_of(buffer.getvalue()) == (expected,)


def warnings_of(content: bytes) -> tuple[str, ...]:
    return decode_image(content).warnings
