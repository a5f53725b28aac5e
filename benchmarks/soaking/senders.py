"""Load in order: what good senders do, some of them strangely, and `Sender`, which does it again and again."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.soaking.contents import Contents, Instance
from benchmarks.soaking.gate import Gate
from benchmarks.soaking.ledger import Attempt, Fault, Ledger
from benchmarks.soaking.peer import Message, Peer, WrongAnswer
from benchmarks.soaking.process import Receiver
from txdicom.errors import MessageError, PDUError

__all__ = ["STRANGE_MANNERS", "Load", "Manner", "Sender", "goodSender"]

#: How many instances an association brings, at most.
_MOST_INSTANCES = 80
#: Bytes of pixel data where each of them costs more than usual.
_SMALL = 4 << 10


@dataclass(frozen=True, slots=True)
class Load:
    """
    What all senders of a run share.

    :ivar patience: how long a good peer may have to wait for anything, in seconds.
    :ivar manners: how often what was done.
    :ivar latencies: seconds from the last byte of each good instance to its answer.
    """

    contents: Contents
    ledger: Ledger
    receiver: Receiver
    gate: Gate
    patience: float
    manners: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("f"))


class Sender:
    """
    Sends, one association or misdeed after the other.

    :param load: what it shares with the others.
    :param rng: decides what it does.
    :param misdeeds: what it may do besides being a good sender, each with its weight.
    :param share: how often it does one of these, 0 to 1.
    :ivar lawful: whether nothing has been done yet in this round that the receiver may break the association for.
    """

    def __init__(self, load: Load, rng: random.Random, misdeeds: Sequence[tuple[Manner, int]], share: float) -> None:
        self.load = load
        self.rng = rng
        self.lawful = True
        self.unfinished: list[Instance] = []
        self._misdeeds = [manner for manner, _ in misdeeds]
        self._weights = [weight for _, weight in misdeeds]
        self._share = share
        self._peers: list[Peer] = []

    async def run(self) -> None:
        """Go on until cancelled; while the gate is shut or the receiver is not there, wait."""
        while True:
            await self.load.gate.opened()
            await self.load.receiver.listening.wait()
            if self.load.gate.isOpen:
                manner: Manner = goodSender
                if self.rng.random() < self._share:
                    (manner,) = self.rng.choices(self._misdeeds, self._weights)
                await self._round(manner)

    async def _round(self, manner: Manner) -> None:
        self.load.manners[manner.__name__] += 1
        self.lawful = True
        generation = self.load.receiver.generation
        fault = Fault.COST
        reason: Exception
        try:
            with self.load.gate.within():
                await manner(self)
            return
        except (WrongAnswer, PDUError, MessageError) as error:
            fault, reason = Fault.ANSWER, error
        except TimeoutError as error:
            reason = error
        except (OSError, EOFError) as error:
            if not self.lawful:
                return
            reason = error
        finally:
            for peer in self._peers:
                peer.close()
            self._peers.clear()
        if generation == self.load.receiver.generation:
            self.load.ledger.fault(fault, f"{manner.__name__}: {reason!r}")

    async def connect(self, receiveBuffer: int = 0) -> Peer:
        """Connect, until the end of this round."""
        peer = await Peer.connect(self.load.receiver.port, receiveBuffer)
        self._peers.append(peer)
        return peer

    async def associate(self) -> Peer:
        """Connect and request an association."""
        begun = time.monotonic()
        peer = await self.connect()
        await peer.associate()
        self.waited(begun, "an association")
        return peer

    def waited(self, begun: float, what: str) -> float:
        """Note how long something took that nothing should delay, and return that."""
        seconds = time.monotonic() - begun
        if seconds > self.load.patience:
            self.load.ledger.fault(Fault.SLOW, f"{what} took {seconds:.1f} s")
        return seconds

    def draw(self, largest: int = 1 << 30) -> Instance:
        """Make up an instance, of no more bytes of pixel data than that."""
        return self.load.contents.draw(self.rng, largest)

    def message(self, peer: Peer, instance: Instance, variant: int = 0, fragment: int = 0) -> Message:
        """Encode the C-STORE-RQ of an instance."""
        return peer.message(instance, self.load.contents.dataSet(instance, variant), fragment)

    async def store(self, peer: Peer, instance: Instance, variant: int = 0) -> None:
        """Store an instance as everybody does."""
        with self.load.ledger.begin(instance, variant) as attempt:
            message = self.message(peer, instance, variant)
            await peer.send(message.wire, attempt.whole)
            await self.settle(peer, attempt, message, instance)

    async def settle(self, peer: Peer, attempt: Attempt, message: Message, instance: Instance) -> None:
        """Wait for the answer to an instance that was sent, and note it."""
        begun = time.monotonic()
        status = await peer.answer(message, instance)
        if self.lawful:
            self.load.latencies.append(self.waited(begun, "an answer"))
        if status == 0:
            attempt.acknowledged()
        else:
            attempt.refused(status)


#: Something that a sender may do.
Manner: TypeAlias = Callable[[Sender], Awaitable[None]]


async def goodSender(sender: Sender) -> None:
    """Store instances one by one; what a kill has left unfinished is often sent again."""
    peer = await sender.associate()
    for _ in range(sender.rng.randint(1, _MOST_INSTANCES)):
        if not sender.load.gate.isOpen:
            break
        instance = sender.unfinished.pop() if sender.unfinished else sender.draw()
        try:
            await sender.store(peer, instance)
        except (OSError, EOFError):
            if sender.rng.random() < 0.5:
                sender.unfinished.append(instance)
            raise
    await peer.release()


async def pipelined(sender: Sender) -> None:
    """Send several requests before the first answer is read."""
    peer = await sender.associate()
    with ExitStack() as attempts:
        sent = []
        for _ in range(sender.rng.randint(2, 8)):
            instance = sender.draw()
            attempt = attempts.enter_context(sender.load.ledger.begin(instance))
            message = sender.message(peer, instance)
            await peer.send(message.wire, attempt.whole)
            sent.append((attempt, message, instance))
        for attempt, message, instance in sent:
            await sender.settle(peer, attempt, message, instance)
    await peer.release()


async def stalled(sender: Sender) -> None:
    """Stop somewhere, within a PDU as a rule, and go on after a while."""
    peer = await sender.associate()
    instance = sender.draw()
    with sender.load.ledger.begin(instance) as attempt:
        message = sender.message(peer, instance)
        cut = sender.rng.randrange(1, len(message.wire))
        await peer.send(message.wire[:cut])
        await sender.load.gate.pause(sender.rng.uniform(0.2, 5.0))
        await peer.send(message.wire[cut:], attempt.whole)
        await sender.settle(peer, attempt, message, instance)
    await peer.release()


async def fragmented(sender: Sender) -> None:
    """Cut an instance into tiny fragments, and the stream into tiny segments."""
    peer = await sender.associate()
    instance = sender.draw(_SMALL)
    with sender.load.ledger.begin(instance) as attempt:
        message = sender.message(peer, instance, fragment=2 * sender.rng.randint(1, 32))
        await peer.dribble(message.wire, sender.rng.randint(5, 60), attempt.whole)
        await sender.settle(peer, attempt, message, instance)
    await peer.release()


async def twins(sender: Sender) -> None:
    """Send two contents under one UID at once."""
    first, second = await sender.associate(), await sender.associate()
    instance = sender.draw()
    results = await asyncio.gather(
        sender.store(first, instance, 0), sender.store(second, instance, 1), return_exceptions=True
    )
    for result in results:
        if result is not None:
            raise result
    await first.release()
    await second.release()


async def successors(sender: Sender) -> None:
    """Send two contents under one UID, one after the other."""
    peer = await sender.associate()
    instance = sender.draw()
    await sender.store(peer, instance, 0)
    await sender.store(peer, instance, 1)
    await peer.release()


async def overtaken(sender: Sender) -> None:
    """Begin to send a content, send another under its UID on another association, and then the rest of the first."""
    slow, fast = await sender.associate(), await sender.associate()
    instance = sender.draw()
    with sender.load.ledger.begin(instance) as attempt:
        message = sender.message(slow, instance)
        cut = sender.rng.randrange(1, len(message.wire))
        await slow.send(message.wire[:cut])
        await sender.store(fast, instance, 1)
        await slow.send(message.wire[cut:], attempt.whole)
        await sender.settle(slow, attempt, message, instance)
    await slow.release()
    await fast.release()


#: What is strange and yet no reason to break an association, and how often it is done compared with other misdeeds.
STRANGE_MANNERS: tuple[tuple[Manner, int], ...] = (
    (pipelined, 6),
    (stalled, 4),
    (fragmented, 4),
    (twins, 4),
    (successors, 3),
    (overtaken, 3),
)
