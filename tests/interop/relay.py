"""A TCP relay that keeps what passes through it: `RecordingRelay`."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["Conversation", "RecordingRelay"]

#: How long conversations may take to end after their sender has, in seconds.
_PATIENCE = 20.0
_CHUNK = 1 << 18


@dataclass
class Conversation:
    """
    All that went over one connection.

    :ivar pieces: whether the sender said it, and the bytes, in the order in which they came.
    """

    pieces: list[tuple[bool, bytes]] = field(default_factory=list)

    @property
    def sent(self) -> bytes:
        """What the sender said."""
        return b"".join(piece for fromSender, piece in self.pieces if fromSender)

    @property
    def answered(self) -> bytes:
        """What the receiver said."""
        return b"".join(piece for fromSender, piece in self.pieces if not fromSender)


class RecordingRelay:
    """
    Listens on a port of its own, and connects everybody who comes to the receiver's. Its event loop has a thread.

    :param target: the receiver's port on this machine.
    :ivar port: where senders are to go.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._idle = threading.Condition()
        self._open = 0
        self._conversations: list[Conversation] = []
        # An event loop does not keep what it runs: a conversation whose sender has said its last word, and which waits
        # for the receiver's, would be collected as garbage.
        self._serving: set[object] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(_PATIENCE)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def take(self) -> list[Conversation]:
        """
        Wait until nobody is connected any more; return the conversations since the last time and forget them.

        :raises TimeoutError: one does not end.
        """
        with self._idle:
            if not self._idle.wait_for(lambda: not self._open, _PATIENCE):
                raise TimeoutError(f"{self._open} connections are still open")
            conversations, self._conversations = self._conversations, []
            return conversations

    def stop(self) -> None:
        """Stop listening, and end the thread."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    async def _serve(self, fromSender: asyncio.StreamReader, toSender: asyncio.StreamWriter) -> None:
        conversation = Conversation()
        task = asyncio.current_task()
        self._serving.add(task)
        with self._idle:
            self._open += 1
            self._conversations.append(conversation)
        writers = [toSender]
        try:
            fromReceiver, toReceiver = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(toReceiver)
            await asyncio.gather(
                self._pump(fromSender, toReceiver, conversation, True),
                self._pump(fromReceiver, toSender, conversation, False),
            )
        finally:
            for writer in writers:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            self._serving.discard(task)
            with self._idle:
                self._open -= 1
                self._idle.notify_all()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        conversation: Conversation,
        fromSender: bool,
    ) -> None:
        try:
            while piece := await reader.read(_CHUNK):
                conversation.pieces.append((fromSender, piece))
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except OSError:
            # One side is gone without a goodbye: the other is to see the same.
            writer.transport.abort()
