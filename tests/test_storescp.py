"""Tests of `txdicom.storescp`: what options make of the receiver, refusing, ignoring, sleeping, starting, stopping."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
import sys
from contextlib import redirect_stderr
from io import StringIO

from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from zope.interface.verify import verifyObject

from tests.headvectors import EXPLICIT_LITTLE, PIXEL_DATA, element
from tests.receivers import CT_CONTEXT, FILE_NAME, PROPOSED, ReceiverTestCase, dataPDUs, dataSet, filesIn, storeRQ
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.storescp.assembly import makeStore
from txdicom.storescp.faults.store import FaultyStore
from txdicom.storescp.log.narration import NarratedStore
from txdicom.storescp.pacing import PacedStore
from txdicom.storescp.service import StartError
from txdicom.storescp.tap import makeService
from txdicom.testing import associateRQ, connectRaw
from txdicom.upperlayer.pdu import PDV, AAbort, AAssociateRJ, AReleaseRP, AReleaseRQ, PDataTF


class StartingTestCase(ReceiverTestCase):
    """Receivers that may not start."""

    def failsToStart(self, *arguments: str) -> str:
        """Start a receiver that cannot, and return what it says on standard error."""
        errors = StringIO()
        self.patch(sys, "__stderr__", errors)
        with redirect_stderr(errors):
            failure = self.assertRaises(StartError, lambda: makeService(self.optionsOf(*arguments)).startService())
        # twistd ends without a traceback for the one, and removes its PID file for the other.
        self.assertIsInstance(failure, SystemExit)
        self.assertIsInstance(failure, Exception)
        self.assertEqual(failure.code, 1)
        return errors.getvalue()


class MakeServiceTests(StartingTestCase):
    """From options to a service."""

    def test_listensOnPort(self) -> None:
        """The port is listened on, on all interfaces, when the service starts and not before."""
        service = makeService(self.optionsOf("104"))
        verifyObject(IService, service)
        self.assertEqual(self.reactor.tcpServers, [])
        service.privilegedStartService()
        service.startService()
        ((port, factory, _, interface),) = self.reactor.tcpServers
        self.assertIsInstance(factory, AcceptorFactory)
        self.assertEqual((port, interface), (104, ""))

    def test_listensOnEveryEndpoint(self) -> None:
        """Endpoints and port serve the same associations."""
        factory = self.serve("--endpoint=tcp:11112:interface=127.0.0.1", "--endpoint=unix:/run/storescp:mode=660")
        self.assertEqual(
            [(port, interface) for port, _, _, interface in self.reactor.tcpServers], [(11112, "127.0.0.1"), (104, "")]
        )
        ((address, unixFactory, *_),) = self.reactor.unixServers
        self.assertEqual(address, "/run/storescp")
        self.assertEqual({id(unixFactory), id(self.reactor.tcpServers[0][1])}, {id(factory)})

    def test_nothingIsWatchedUnlessAskedFor(self) -> None:
        """Without ``-v`` there is no observer, and fragments go straight into the file."""
        self.assertIsNone(self.serve("-s0")._observer)
        files = FileStore(self.directory)
        self.assertIs(makeStore(self.optionsOf("104"), files, self.reactor), files)
        self.assertIs(type(makeStore(self.optionsOf("-i", "104"), None, self.reactor)), DiscardingStore)

    def test_storesAreWrappedWhereAskedFor(self) -> None:
        """``-v``, ``-s``, ``-S`` and the faults each put something around the store."""
        self.assertIsNotNone(self.serve("-v")._observer)
        for arguments, kind in (
            (["-v"], NarratedStore),
            (["-s1"], PacedStore),
            (["-S1"], PacedStore),
            (["--fault=1:abort"], FaultyStore),
            (["--abort-during"], FaultyStore),
            (["--abort-after"], FaultyStore),
        ):
            self.assertIs(type(makeStore(self.optionsOf(*arguments, "104"), None, self.reactor)), kind)

    def test_maximumPDULength(self) -> None:
        """``-b`` is announced, and held to."""
        factory = self.serve("-b", "8192")
        peer = connectRaw(factory)
        (response,) = peer.send(associateRQ(PROPOSED))
        self.assertEqual(response.userInformation.maximumLength, 8192)
        (abort,) = peer.send(PDataTF((PDV(CT_CONTEXT, 0, bytes(8192)),)))
        self.assertEqual(abort, AAbort(2, 6))

    def test_noMaximumPDULength(self) -> None:
        """``-b 0`` announces no limit, and a whole instance may come in one PDU."""
        peer = connectRaw(self.serve("-b0"))
        (response,) = peer.send(associateRQ(PROPOSED))
        self.assertEqual(response.userInformation.maximumLength, 0)
        data = dataSet(element(EXPLICIT_LITTLE, PIXEL_DATA, b"OW", bytes(3 << 20)))
        self.assertEqual(self.store(peer, 1, data), [(1, 0x0000)])

    def test_associationTimeout(self) -> None:
        """``--acse-timeout`` bounds how long a connection may stay silent."""
        peer = connectRaw(self.serve("--acse-timeout=2.5"))
        self.reactor.advance(2.25)
        peer.link.flush()
        self.assertFalse(peer.lost)
        self.reactor.advance(0.25)
        peer.link.flush()
        self.assertTrue(peer.lost)

    def test_unusableEndpoints(self) -> None:
        """An endpoint that cannot be is quoted, with what is wrong with it, before anything listens."""
        missing = os.path.abspath(self.mktemp())
        for description in ("", "nonesuch:1", "tcp", "tcp:abc", "tcp:1:nonesuch=2", f"ssl:1:privateKey={missing}"):
            said = self.failsToStart("104", "--endpoint", description)
            self.assertTrue(said.startswith(f"storescp: endpoint {description!r} is not usable: "), said)
            self.assertEqual(said.count("\n"), 1)
        self.assertEqual(self.reactor.tcpServers, [])

    def test_directoryGone(self) -> None:
        """A directory that is removed after the options were checked is no traceback either; nothing listens."""
        service = makeService(self.optionsOf("104"))
        os.rmdir(self.directory)
        errors = StringIO()
        self.patch(sys, "__stderr__", errors)
        self.assertEqual(self.assertRaises(StartError, service.startService).code, 1)
        self.assertEqual(
            errors.getvalue(), "storescp: the output directory cannot be used: No such file or directory\n"
        )
        self.assertEqual(self.reactor.tcpServers, [])

    def test_noDictionary(self) -> None:
        """If none of the dictionaries can be loaded, nothing listens."""
        missing = os.path.abspath(self.mktemp())
        self.environment["DCMDICTPATH"] = f"{missing}:{missing}2"
        said = self.failsToStart("104")
        self.assertTrue(said.startswith("storescp: None of the data dictionaries that DCMDICTPATH names"), said)
        self.assertEqual((said.count("\n"), self.reactor.tcpServers), (1, []))


class CannotListenTests(StartingTestCase):
    """What is said where the port cannot be had."""

    def saidWhen(self, error: Exception) -> str:
        """Return what is said when listening fails with an error, and check that nothing is left of the try."""

        def listenTCP(*arguments: object, **keywords: object) -> None:
            raise error

        self.patch(self.reactor, "listenTCP", listenTCP)
        said = self.failsToStart("104")
        self.assertEqual(os.listdir(self.directory), [])
        return said

    def test_inUse(self) -> None:
        """Somebody else listens."""
        error = CannotListenError("", 104, OSError(errno.EADDRINUSE, "Address already in use"))
        self.assertEqual(self.saidWhen(error), "storescp: cannot listen on port 104, it is in use\n")

    def test_forbidden(self) -> None:
        """The port is for others; the sentence is the original's."""
        error = CannotListenError("", 104, OSError(errno.EACCES, "Permission denied"))
        self.assertEqual(self.saidWhen(error), "storescp: cannot listen on port 104, insufficient privileges\n")

    def test_otherReasons(self) -> None:
        """Whatever else there is comes in the system's words, or in Twisted's."""
        for error, said in (
            (CannotListenError("", 104, OSError(99, "Cannot assign requested address")), "port 104: Cannot assign req"),
            (CannotListenError("", 104, "Cannot acquire lock"), "port 104: Cannot acquire lock"),
            (CannotListenError(None, b"/run/x", OSError("AF_UNIX path too long")), "/run/x: AF_UNIX path too long"),
            (CannotListenError(None, b"/run/x", OSError(errno.EADDRINUSE, "Used")), "/run/x, it is in use"),
            (OSError(errno.ENOENT, "No such file", b"17", None, b"/run/x.lock"), "/run/x.lock: No such file"),
            (OSError(errno.ENOENT, "No such file", "/run/x.lock"), "/run/x.lock: No such file"),
            (OSError("strange"), "the endpoint: strange"),
        ):
            self.assertTrue(self.saidWhen(error).startswith(f"storescp: cannot listen on {said}"))


class StopTests(ReceiverTestCase):
    """When the service stops."""

    def test_abortsAssociations(self) -> None:
        """Peers are told by an A-ABORT, and what they do not finish in time leaves nothing behind."""
        factory = self.serve()
        peers = self.associate(factory), self.associate(factory), connectRaw(factory)
        # One is idle, one is storing, one is silent.
        peers[1].send(storeRQ(), dataPDUs(dataSet(), b"rest")[0])
        self.assertEqual(len(filesIn(self.directory)), 1)
        stopping = self.service.stopService()
        self.assertEqual([peer.send() for peer in peers], [[AAbort(0, 0)], [], []])
        self.reactor.advance(9.75)
        self.assertEqual([peer.send() for peer in peers], [[], [], []])
        self.reactor.advance(0.25)
        self.assertEqual(filesIn(self.directory), [])
        self.assertEqual([peer.send() for peer in peers], [[], [AAbort(0, 0)], []])
        self.assertEqual([peer.lost for peer in peers], [False, False, True])
        # None of them closes; they have a second for that.
        self.assertNoResult(stopping)
        self.reactor.advance(1)
        for peer in peers:
            peer.link.flush()
        self.successResultOf(stopping)
        self.assertEqual([peer.lost for peer in peers], [True] * 3)
        self.assertEqual((os.listdir(self.directory), self.reactor.getDelayedCalls()), ([], []))

    def test_keepsWhatWasStored(self) -> None:
        """What was acknowledged stays; without connections there is nothing to wait for."""
        peer = self.associate(self.serve())
        self.assertEqual(self.store(peer), [(1, 0x0000)])
        peer.link.lose()
        self.successResultOf(self.service.stopService())
        self.assertEqual(os.listdir(self.directory), [FILE_NAME])


class RefuseTests(ReceiverTestCase):
    """``--refuse``."""

    def test_everyAssociationIsRefused(self) -> None:
        """The A-ASSOCIATE-RJ says: permanent, service user, no reason given."""
        factory = self.serve("-r")
        for request in (associateRQ(PROPOSED), associateRQ(), associateRQ(calledAETitle="OTHER")):
            peer = connectRaw(factory)
            peer.transport.write(request.encode())
            peer.link.flush()
            self.assertEqual(peer.received, bytes.fromhex("0300 00000004 00 01 01 01"))

    def test_connectionIsClosedInTime(self) -> None:
        """A peer that does not close the connection then is not waited for longer than for an association."""
        peer = connectRaw(self.serve("-r", "--acse-timeout=3"))
        self.assertEqual(peer.send(associateRQ()), [AAssociateRJ(1, 1, 1)])
        self.reactor.advance(3)
        peer.link.flush()
        self.assertTrue(peer.lost)


class IgnoreTests(ReceiverTestCase):
    """``--ignore``."""

    def test_nothingIsKept(self) -> None:
        """The instance is acknowledged, and no file is ever there."""
        peer = self.associate(self.serve("-i"))
        first, second = dataPDUs(dataSet(), bytes(100))
        self.assertEqual((self.ask(peer, storeRQ(), first), os.listdir(self.directory)), ([], []))
        self.assertEqual((self.ask(peer, second), os.listdir(self.directory)), ([(1, 0x0000)], []))

    def test_instancesAreChecked(self) -> None:
        """What would have been refused is still refused."""
        peer = self.associate(self.serve("-i"))
        self.assertEqual(self.store(peer, 1, dataSet(sopInstance="1.2.3")), [(1, 0xA900)])
        self.assertEqual(self.store(peer, 2, dataSet(sopClass="1.2.3")), [(2, 0xA900)])
        self.assertEqual(self.store(peer, 3, bytes(200)), [(3, 0xC000)])
        self.assertEqual(self.ask(peer, storeRQ(4, sopInstance="../etc"), *dataPDUs(dataSet())), [(4, 0xC000)])
        self.assertEqual(self.store(peer, 5), [(5, 0x0000)])


class SleepOptionTests(ReceiverTestCase):
    """``--sleep-after`` and ``--sleep-during`` in the whole receiver; `tests.test_pacing` has the details."""

    def test_after(self) -> None:
        """The response is not delayed, but the next command is; the file is there at once."""
        peer = self.associate(self.serve("-s", "5"))
        self.assertEqual(self.store(peer), [(1, 0x0000)])
        self.assertEqual(filesIn(self.directory), [FILE_NAME])
        self.assertEqual(self.store(peer, 2), [])
        self.reactor.advance(4.75)
        self.assertEqual(self.ask(peer), [])
        self.reactor.advance(0.25)
        self.assertEqual(self.ask(peer), [(2, 0x0000)])

    def test_during(self) -> None:
        """An instance that comes in one piece takes three sleeps: begin, fragment, end."""
        peer = self.associate(self.serve("-S", "5"))
        self.assertEqual(self.store(peer), [])
        for _ in range(3):
            self.assertEqual((self.ask(peer), FILE_NAME in os.listdir(self.directory)), ([], False))
            self.reactor.advance(5)
        self.assertEqual((self.ask(peer), filesIn(self.directory)), ([(1, 0x0000)], [FILE_NAME]))

    def test_longSleepsDuring(self) -> None:
        """Begin and first fragment sleep in a row, and together longer than any provider could take otherwise."""
        peer = self.associate(self.serve("-S", "400"))
        self.assertEqual(self.store(peer), [])
        self.reactor.pump([200] * 5)
        self.assertEqual(self.ask(peer), [])
        self.reactor.advance(200)
        self.assertEqual(self.ask(peer), [(1, 0x0000)])

    def test_longSleepsAfter(self) -> None:
        """So may the sleep after the response."""
        peer = self.associate(self.serve("-s", "3000"))
        self.assertEqual(self.store(peer), [(1, 0x0000)])
        self.assertEqual(self.store(peer, 2), [])
        self.reactor.pump([200] * 14)
        self.assertEqual(self.ask(peer), [])
        self.reactor.advance(200)
        self.assertEqual(self.ask(peer), [(2, 0x0000)])

    def test_releaseWaitsForTheSleep(self) -> None:
        """The next command may be a release."""
        peer = self.associate(self.serve("-s", "5"))
        self.assertEqual(self.store(peer), [(1, 0x0000)])
        self.assertEqual(peer.send(AReleaseRQ()), [])
        self.reactor.advance(5)
        peer.link.flush()
        self.assertEqual(peer.takePDUs(), [AReleaseRP()])

    def test_stoppedWhileSleeping(self) -> None:
        """A receiver that is stopped leaves neither a file nor a timer."""
        factory = self.serve("-S", "5", "--grace-period=4")
        peers = [self.associate(factory) for _ in range(3)]
        for peer, seconds in zip(peers, (5, 5, 0), strict=True):
            self.assertEqual(self.store(peer), [])
            self.reactor.advance(seconds)
        # One sleeps before the end, one before its fragment, one before the begin.
        self.assertEqual(len(filesIn(self.directory)), 2)
        stopping = self.service.stopService()
        self.reactor.advance(4)
        self.assertEqual(filesIn(self.directory), [])
        for peer in peers:
            self.assertEqual(peer.send(), [AAbort(0, 0)])
            peer.link.lose()
        self.successResultOf(stopping)
        self.assertEqual((os.listdir(self.directory), self.reactor.getDelayedCalls()), ([], []))
