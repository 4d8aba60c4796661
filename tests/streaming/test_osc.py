"""Blendshapes reach a real UDP socket as messages of the VMC protocol."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from mien.errors import SettingError
from mien.media.sources import Frame
from mien.streaming.receivers import OscSink
from mien.types import BLENDSHAPES, Box, Detection, Face, FrameResult

osc = pytest.importorskip("pythonosc.osc_bundle", reason="needs the extra osc")


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(20)
        yield opened


def _face(width: float, jaw_open: float) -> Face:
    shapes = dict.fromkeys(BLENDSHAPES, 0.0) | {"jawOpen": jaw_open, "_neutral": 1.0}
    return Face(Detection(Box(0, 0, width, width), 0.9), blendshapes=shapes)


def _sent(receiver: socket.socket, *faces: Face) -> list[tuple[str, list[object]]]:
    sink = OscSink(f"127.0.0.1:{receiver.getsockname()[1]}")
    frame = Frame(np.zeros((8, 8, 3), np.uint8), 0.0, 0)
    sink.write(frame, FrameResult(faces, (8, 8)), [])
    sink.close([], complete=True)
    bundle = osc.OscBundle(receiver.recv(65536))
    return [(message.address, list(message.params)) for message in bundle]


def test_sends_the_blendshapes_of_the_largest_face(receiver: socket.socket) -> None:
    found = _sent(receiver, _face(2, 0.25), _face(6, 0.75))
    assert found[0] == ("/VMC/Ext/OK", [1])
    assert found[-1] == ("/VMC/Ext/Blend/Apply", [])
    values = {str(sent[0]): sent[1] for address, sent in found if address == "/VMC/Ext/Blend/Val"}
    assert set(values) == set(BLENDSHAPES) - {"_neutral"}
    assert values["jawOpen"] == 0.75


def test_says_that_there_is_no_face(receiver: socket.socket) -> None:
    assert _sent(receiver) == [("/VMC/Ext/OK", [0])]


def test_works_without_a_receiver(receiver: socket.socket) -> None:
    sink = OscSink(f"127.0.0.1:{receiver.getsockname()[1]}")
    receiver.close()
    for index in range(3):
        frame = Frame(np.zeros((8, 8, 3), np.uint8), index / 30, index)
        sink.write(frame, FrameResult((_face(4, 0.5),), (8, 8)), [])
    sink.close([], complete=True)


@pytest.mark.parametrize("target", ["", "39539", "localhost", "localhost:", "localhost:0", ":9000"])
def test_rejects_what_is_no_address(target: str) -> None:
    with pytest.raises(SettingError, match="expected HOST:PORT"):
        OscSink(target)
