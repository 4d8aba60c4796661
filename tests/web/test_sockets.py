"""Two threads on one socket."""

import socket
import threading

from mien.web.sockets import OneAtATime

SIZE = 200_000


def test_what_one_thread_sends_is_not_broken_up_by_another() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # So little room that each message has to wait in the middle for the other side to read.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        shared = OneAtATime(ours)
        assert shared.fileno() == ours.fileno()
        senders = [
            threading.Thread(target=shared.send, args=(letter * SIZE,)) for letter in (b"a", b"b")
        ]
        for sender in senders:
            sender.start()
        received = b""
        while len(received) < 2 * SIZE:
            received += theirs.recv(65536)
        for sender in senders:
            sender.join()
    assert received in (b"a" * SIZE + b"b" * SIZE, b"b" * SIZE + b"a" * SIZE)
