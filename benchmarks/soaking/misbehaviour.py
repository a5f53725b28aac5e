"""Load out of order: what a peer may do wrong, each a `Manner` of a `Sender`."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.soaking.contents import Instance
from benchmarks.soaking.ledger import Fault
from benchmarks.soaking.peer import ABORT, RELEASE, Message, Peer
from benchmarks.soaking.senders import Manner, Sender

__all__ = ["MISDEEDS"]

#: What other protocols begin with: HTTP, TLS, SSH.
_OTHER_PROTOCOLS = (
    b"GET / HTTP/1.0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(80),
    b"SSH-2.0-\r\n",
)
#: UIDs that no file may be named after.
_NO_UIDS = ("../../escaped", "/tmp/escaped", "1.2.3/../../escaped", "1.2.3\n", "1" * 65, "1..2", "")  # noqa: S108
#: How many C-ECHO-RQs a deaf peer sends; the answers to half of them fill all buffers there are.
_ECHOES = 6000
_TINY_BUFFER = 4096
_LONGEST_UID = 64
_MOST_SILENT = 8


def _partOf(sender: Sender, message: Message) -> bytes:
    """Take some PDUs of a message, but not all."""
    return b"".join(message.pdus[: sender.rng.randrange(1, len(message.pdus))])


def _cutOf(sender: Sender, message: Message) -> bytes:
    """Take some bytes of a message, and often all but the last one."""
    wire = message.wire
    return wire[: len(wire) - 1 if sender.rng.random() < 0.2 else sender.rng.randrange(1, len(wire))]


async def _begun(sender: Sender) -> tuple[Peer, Instance, Message]:
    """Associate, and make up an instance; nothing is sent of it yet, and from here on everything is allowed."""
    peer = await sender.associate()
    instance = sender.draw()
    sender.lawful = False
    return peer, instance, sender.message(peer, instance)


async def aborted(sender: Sender) -> None:
    """A-ABORT between two PDUs of an instance."""
    peer, instance, message = await _begun(sender)
    with sender.load.ledger.begin(instance):
        await peer.send(_partOf(sender, message) + ABORT)
        await peer.ended()


async def reset(sender: Sender) -> None:
    """Reset the TCP connection anywhere in an instance."""
    peer, instance, message = await _begun(sender)
    with sender.load.ledger.begin(instance):
        await peer.send(_cutOf(sender, message))
        await sender.load.gate.pause(sender.rng.choice((0, 0.01)))
        peer.reset()


async def unended(sender: Sender) -> None:
    """Send all bytes of an instance, but do not say that these were the last, and go away in one way or the other."""
    peer, instance, _ = await _begun(sender)
    with sender.load.ledger.begin(instance):
        message = peer.message(instance, sender.load.contents.dataSet(instance), ended=False)
        way = sender.rng.randrange(4)
        await peer.send(message.wire + (b"", b"", ABORT, RELEASE)[way])
        if way == 0:
            peer.reset()
        elif way == 1:
            peer.endOfData()
            await peer.ended()
        else:
            await peer.ended()


async def releasedEarly(sender: Sender) -> None:
    """A-RELEASE-RQ between two PDUs of an instance."""
    peer, instance, message = await _begun(sender)
    with sender.load.ledger.begin(instance):
        await peer.send(_partOf(sender, message) + RELEASE)
        await peer.ended()


async def vanished(sender: Sender) -> None:
    """Stop in the middle of an instance, and after a while go away."""
    peer, instance, message = await _begun(sender)
    with sender.load.ledger.begin(instance):
        await peer.send(_cutOf(sender, message))
        await sender.load.gate.pause(sender.rng.uniform(0.2, 5.0))
        if sender.rng.random() < 0.5:
            peer.reset()
        else:
            peer.close()


async def garbage(sender: Sender) -> None:
    """Send what is no DICOM: instead of a request for association, after it, or in the middle of an instance."""
    rng = sender.rng
    noise = rng.choice((*_OTHER_PROTOCOLS, bytes((rng.randrange(8, 256),)) + rng.randbytes(rng.randrange(6, 1 << 16))))
    when = rng.randrange(3)
    if when == 0:
        peer = await sender.connect()
        sender.lawful = False
        await peer.send(noise)
    else:
        peer, instance, message = await _begun(sender)
        with sender.load.ledger.begin(instance):
            await peer.send((b"" if when == 1 else _partOf(sender, message)) + noise)
    await peer.ended()


async def halfClosed(sender: Sender) -> None:
    """Send an instance, or a part of it, close our half of the connection, and wait for an answer."""
    peer, instance, message = await _begun(sender)
    with sender.load.ledger.begin(instance) as attempt:
        if sender.rng.random() < 0.5:
            await peer.send(message.wire, attempt.whole)
            peer.endOfData()
            await sender.settle(peer, attempt, message, instance)
        else:
            await peer.send(_cutOf(sender, message))
            peer.endOfData()
            await peer.ended()


async def deaf(sender: Sender) -> None:
    """Send instances and far more requests than anybody answers who is not listened to; then go away."""
    peer = await sender.connect(_TINY_BUFFER)
    await peer.associate()
    sender.lawful = False
    peer.deafen()
    with ExitStack() as attempts:
        for _ in range(sender.rng.randint(1, 5)):
            instance = sender.draw()
            attempt = attempts.enter_context(sender.load.ledger.begin(instance))
            await peer.send(sender.message(peer, instance).wire, attempt.whole)
        peer.sendAtOnce(peer.echo() * _ECHOES)
        await sender.load.gate.pause(sender.rng.uniform(0.5, 3.0))
        if sender.rng.random() < 0.5:
            peer.reset()


async def silent(sender: Sender) -> None:
    """Open connections and say nothing on them, or only the beginning of something."""
    for _ in range(sender.rng.randint(1, _MOST_SILENT)):
        peer = await sender.connect()
        if sender.rng.random() < 0.5:
            await peer.send(b"\x01\x00\x00\x00\x01\x00\x00\x01"[: sender.rng.randint(1, 8)])
    idle = await sender.associate()
    sender.lawful = False
    await sender.load.gate.pause(sender.rng.uniform(0.5, 5.0))
    sender.lawful = True
    # Nothing was wrong with this one.
    await idle.release()


async def impostor(sender: Sender) -> None:
    """Send an instance under the UID of another, or one whose UID is none; then a good one."""
    peer = await sender.associate()
    rng = sender.rng
    instance = sender.draw()
    ledger, contents = sender.load.ledger, sender.load.contents
    with ExitStack() as attempts:
        if rng.random() < 0.5:
            named, hidden = instance, sender.draw()
        else:
            named = hidden = Instance(instance.sopClassUID, rng.choice(_NO_UIDS), instance.length)
            # What is longer than any UID may be is no command set, and may cost the association.
            sender.lawful = len(named.uid) <= _LONGEST_UID
        attempt = attempts.enter_context(ledger.begin(named))
        if hidden is not named:
            attempts.enter_context(ledger.begin(hidden))
        message = peer.message(named, contents.dataSet(hidden))
        await peer.send(message.wire)
        status = await peer.status(message)
        attempt.refused(status, expected=True)
        if status == 0:
            ledger.fault(Fault.ANSWER, f"0x0000 to {named.uid!r} with the data set of {hidden.uid!r}")
    await sender.store(peer, sender.draw())
    await peer.release()


async def crowd(sender: Sender) -> None:
    """Open many connections at once, and reset them all."""
    peers = [await sender.connect() for _ in range(sender.rng.randint(10, 40))]
    for peer in peers:
        peer.reset()


#: What is out of order, and how often it is done compared with other misdeeds.
MISDEEDS: tuple[tuple[Manner, int], ...] = (
    (aborted, 6),
    (reset, 6),
    (unended, 3),
    (releasedEarly, 2),
    (vanished, 4),
    (garbage, 4),
    (halfClosed, 4),
    (deaf, 2),
    (silent, 2),
    (impostor, 3),
    (crowd, 2),
)
