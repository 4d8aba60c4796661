"""Work on a cluster that is not there; with one, see tests/e2e/test_services.py."""

import socket
from pathlib import Path

import pytest

from mien.cluster import engine, remote
from mien.cluster.engine import Resources
from mien.errors import MienError, SettingError

pytest.importorskip("ray")
pytestmark = pytest.mark.e2e


def no_work() -> remote.Work:
    raise AssertionError


def test_a_cluster_that_never_answers_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_OUTAGE_S", 0.1)
    monkeypatch.setattr(remote, "_RETRY_S", 0.1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        work = remote.RemoteWork(f"ray://127.0.0.1:{unused.getsockname()[1]}", no_work)
        waited: list[int] = []
        with pytest.raises(MienError, match="does not answer: try again later"):
            work(tmp_path / "a.mp4", tmp_path, {}, lambda done, share: waited.append(done))
    assert waited


@pytest.mark.parametrize("address", ["head:6379", "auto", "http://head:8265"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SettingError, match=r"ray://host:10001, got"):
        remote.RemoteWork(address, no_work)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(workers=9999), "at most .* workers on this machine"),
        (Resources("ray://[x"), "--address to be local, auto, ray://host:10001"),
    ],
)
def test_resources_that_cannot_be_used_are_refused(resources: Resources, expected: str) -> None:
    import ray

    with pytest.raises(SettingError, match=expected):
        engine._start(ray, resources)


def test_a_head_that_cannot_start_a_client_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    reasons = ["Initialization failure from server: x"] * 2
    asked: list[str] = []

    def init(address: str, **_: object) -> None:
        asked.append(address)
        if reasons:
            raise ConnectionAbortedError(reasons.pop())

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        engine._start(ray, Resources(address))
        assert asked == [address] * 3
        reasons += ["Initialization failure from server: y"] * 3
        with pytest.raises(SettingError, match="Initialization failure from server: y"):
            engine._start(ray, Resources(address))
        reasons[:] = ["wrong token"]
        asked.clear()
        with pytest.raises(SettingError, match="but: wrong token"):
            engine._start(ray, Resources(address))
        assert len(asked) == 1
