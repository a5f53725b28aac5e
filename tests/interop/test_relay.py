"""Tests of `tests.interop.relay`: what passes through is kept, and nothing is lost."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import gc
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.relay import RecordingRelay

_PATIENCE = 20.0


class RelayTests(SynchronousTestCase):
    """A relay between two plain sockets."""

    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.relay = RecordingRelay(listening.getsockname()[1])
        self.addCleanup(self.relay.stop)
        self.sender = socket.create_connection(("127.0.0.1", self.relay.port), _PATIENCE)
        self.addCleanup(self.sender.close)
        listening.settimeout(_PATIENCE)
        self.receiver, _ = listening.accept()
        self.addCleanup(self.receiver.close)
        self.receiver.settimeout(_PATIENCE)

    def test_bothDirections(self) -> None:
        self.sender.sendall(b"question")
        self.assertEqual(self.receiver.recv(9), b"question")
        self.receiver.sendall(b"answer")
        self.assertEqual(self.sender.recv(9), b"answer")
        self.receiver.close()
        self.assertEqual(self.sender.recv(9), b"")
        self.sender.close()
        (conversation,) = self.relay.take()
        self.assertEqual((conversation.sent, conversation.answered), (b"question", b"answer"))
        self.assertEqual(self.relay.take(), [])

    def test_lateAnswer(self) -> None:
        """A sender may have said all it has to say: the receiver is waited for, whoever collects garbage meanwhile."""
        self.sender.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receiver.recv(9), b"")
        # In the relay's thread, when it has done with that.
        asyncio.run_coroutine_threadsafe(asyncio.to_thread(gc.collect), self.relay._loop).result(_PATIENCE)
        self.receiver.sendall(b"answer")
        self.receiver.close()
        self.assertEqual(self.sender.recv(9), b"answer")
        (conversation,) = self.relay.take()
        self.assertEqual((conversation.sent, conversation.answered), (b"", b"answer"))

    def test_abort(self) -> None:
        """A side that is gone without a goodbye takes the other one along."""
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sender.close()
        self.assertEqual(self.receiver.recv(9), b"")
        self.assertEqual(len(self.relay.take()), 1)
