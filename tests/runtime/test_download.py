"""Downloads from a local server: complete, interrupted, resumed, wrong."""

import hashlib
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DownloadError
from mien.runtime.download import _download

CONTENT = np.random.default_rng(0).bytes(600_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path, server: Any) -> Path:
    server.content = CONTENT
    return tmp_path / "models" / "model.onnx"


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_downloads_a_file(server: Any, target: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    _download(
        server.url, target, sha256=SHA256, progress=lambda done, total: steps.append((done, total))
    )
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == []
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_accepts_uppercase_checksums(server: Any, target: Path) -> None:
    _download(server.url, target, sha256=SHA256.upper())
    assert target.read_bytes() == CONTENT


def test_retries_a_dropped_connection(server: Any, target: Path) -> None:
    server.drop_after = [100_000, 200_000]
    _download(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.requested == [None, "bytes=100000-", "bytes=300000-"]


def test_resumes_an_earlier_download(server: Any, target: Path) -> None:
    server.drop_after = [100_000] * 4
    with pytest.raises(DownloadError, match="400000 bytes are kept, run the command again"):
        _download(server.url, target, sha256=SHA256)
    assert not target.exists()
    server.requested.clear()
    _download(server.url, target, sha256=SHA256)
    assert server.requested == ["bytes=400000-"]
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == []


def test_starts_over_without_range_support(server: Any, target: Path) -> None:
    server.ranges = False
    server.drop_after = [100_000]
    _download(server.url, target, sha256=SHA256)
    assert server.requested == [None, "bytes=100000-"]
    assert target.read_bytes() == CONTENT


def test_accepts_responses_without_length(server: Any, target: Path) -> None:
    server.tell_length = False
    totals: list[int | None] = []
    _download(server.url, target, sha256=SHA256, progress=lambda done, total: totals.append(total))
    assert target.read_bytes() == CONTENT
    assert set(totals) == {None}


def test_uses_a_complete_part_without_a_download(server: Any, target: Path) -> None:
    target.parent.mkdir()
    (target.parent / f".{SHA256}.part").write_bytes(CONTENT)
    _download(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == []


def test_discards_a_part_longer_than_the_file(server: Any, target: Path) -> None:
    target.parent.mkdir()
    (target.parent / f".{SHA256}.part").write_bytes(CONTENT + b"more")
    _download(server.url, target, sha256=SHA256)
    assert server.requested == [f"bytes={len(CONTENT) + 4}-", None]
    assert target.read_bytes() == CONTENT


def test_discards_content_with_a_wrong_checksum(server: Any, target: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=r"expected SHA-256 .* from .*, got "):
        _download(server.url, target, sha256=SHA256)
    assert list(target.parent.iterdir()) == []


def test_existing_file_stays_until_the_download_is_complete(server: Any, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    server.status = 503
    with pytest.raises(DownloadError):
        _download(server.url, target, sha256=SHA256)
    assert target.read_bytes() == b"the old one"


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (500, "500 Internal")])
def test_reports_the_servers_response(server: Any, target: Path, status: int, words: str) -> None:
    server.status = status
    with pytest.raises(DownloadError, match=words):
        _download(server.url, target, sha256=SHA256)
    assert len(server.requested) == 1


def test_reports_refused_connections(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="refused"):
        _download(f"http://127.0.0.1:{port}/m.onnx", tmp_path / "m.onnx", sha256=SHA256)


def test_silent_server_times_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/m.onnx"
        with pytest.raises(DownloadError, match="timed out"):
            _download(url, tmp_path / "m.onnx", sha256=SHA256, timeout_s=0.05)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/m.onnx", "m.onnx"])
def test_accepts_only_http(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="http or https"):
        _download(url, tmp_path / "m.onnx", sha256=SHA256)


def test_reports_unwritable_folders(server: Any, tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="cannot be written"):
        _download(server.url, tmp_path / "file" / "m.onnx", sha256=SHA256)
