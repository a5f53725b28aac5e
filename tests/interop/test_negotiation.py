"""The options that say what is accepted, beside those of DCMTK's storescp: the same proposals, the same answers."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.peers import requireProgram
from tests.interop.rawsender import ABORT_REQUEST, RawSender
from txdicom.dimse.dispatch import ServiceTable
from txdicom.storescp.assembly import makeProviders
from txdicom.storescp.options import Options
from txdicom.storescp.options.table import OPTIONS
from txdicom.testing import RecordingStore, associateRQ
from txdicom.upperlayer.negotiation import AcceptorPolicy, negotiate
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ, decodePDU

#: How long DCMTK's storescp may take to start, in seconds, and how often to look.
_PATIENCE = 20.0
_POLL = 0.01

_CT = "1.2.840.10008.5.1.4.1.1.2"
_SR = "1.2.840.10008.5.1.4.1.1.88.11"
_VERIFICATION = "1.2.840.10008.1.1"
_PRIVATE = "1.2.276.0.7230010.9.1"
_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_WORKLIST = "1.2.840.10008.5.1.4.31"
_LITTLE = "1.2.840.10008.1.2.1"
#: The transfer syntaxes that DCMTK 3.6.7 knows.
_KNOWN = {
    f"1.2.840.10008.1.2{number}"
    for number in (
        *("", ".1", ".2", ".1.99", ".4.50", ".4.51", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91", ".5"),
        *(f".4.{number}" for number in range(100, 109)),
    )
}
#: What is proposed: these, some that are younger or older, and two that are private. To a proposal of more than fifty
#: transfer syntaxes DCMTK does not answer.
_PROPOSED = [
    *sorted(_KNOWN),
    *(f"1.2.840.10008.1.2.4.{number}" for number in (57, 58, 66, 94, 110, 201, 203)),
    "1.2.840.113619.5.2",
    "1.2.3.4",
]


class _Acceptor:
    """Answers an A-ASSOCIATE-RQ."""

    def answer(self, request: AAssociateRQ) -> AAssociateAC:
        """Return the acceptance."""
        raise NotImplementedError

    def results(self, abstractSyntaxes: Iterable[str]) -> list[int]:
        """Propose each abstract syntax, in a transfer syntax that everybody accepts."""
        request = associateRQ([(uid, [_LITTLE]) for uid in abstractSyntaxes])
        return [int(context.result) for context in self.answer(request).presentationContexts]

    def order(self, abstractSyntax: str, proposed: Iterable[str]) -> list[str]:
        """Propose all transfer syntaxes, then all but the one that was accepted, and so on, until none is."""
        left, accepted = list(proposed), []
        while left:
            (context,) = self.answer(associateRQ({abstractSyntax: left})).presentationContexts
            if context.result:
                break
            accepted.append(context.transferSyntax)
            left.remove(context.transferSyntax)
        return accepted


class _Ours(_Acceptor):
    """What storescp would answer."""

    def __init__(self, *arguments: str) -> None:
        options = Options()
        options.parseOptions([*arguments, "--ignore", "104"])
        table = ServiceTable(makeProviders(options, RecordingStore()))
        self._policy = AcceptorPolicy(presentationContexts=table.presentationContexts, maximumLength=0)

    def answer(self, request: AAssociateRQ) -> AAssociateAC:
        answer = negotiate(request, self._policy)
        assert isinstance(answer, AAssociateAC)
        return answer


class _Theirs(_Acceptor):
    """What DCMTK's storescp answers."""

    def __init__(self, port: int) -> None:
        self._port = port

    def answer(self, request: AAssociateRQ) -> AAssociateAC:
        with RawSender(self._port) as sender:
            sender.send(request.encode())
            data = sender.receive()
            sender.send(ABORT_REQUEST)
        answer = decodePDU(data[0], data[6:])
        assert isinstance(answer, AAssociateAC)
        return answer


@contextmanager
def _theirs(*arguments: str) -> Iterator[_Theirs]:
    """Run DCMTK's storescp with these options."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        command = [requireProgram("storescp"), "--ignore", *arguments, str(port)]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "TCP_NODELAY": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + _PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(_POLL)
            yield _Theirs(port)
        finally:
            process.terminate()
            process.wait()


class NegotiationTests(SynchronousTestCase):
    """Side by side."""

    def assertSame(self, *arguments: str) -> None:
        """Both accept the same classes, and of each the same transfer syntaxes, in the same order."""
        ours = _Ours(*arguments)
        classes = [_CT, _VERIFICATION, _PRIVATE, _FIND, _WORKLIST]
        with _theirs(*arguments) as theirs:
            self.assertEqual(ours.results(classes), theirs.results(classes), arguments)
            for abstractSyntax in (_CT, _VERIFICATION):
                for proposed in (_PROPOSED, _PROPOSED[::-1]):
                    expected = theirs.order(abstractSyntax, proposed)
                    self.assertEqual(ours.order(abstractSyntax, proposed), expected, arguments)

    def test_everyOptionAboutTransferSyntaxes(self) -> None:
        options = [option for option in OPTIONS.values() if option.key == "transfer-syntaxes"]
        self.assertEqual(len(options), 23)
        for option in options:
            if option.name != "accept-all":
                self.assertSame(*option.short)

    def test_default(self) -> None:
        self.assertSame()

    def test_promiscuous(self) -> None:
        self.assertSame("-pm")
        self.assertSame("--promiscuous", "--prefer-lossless")

    def test_lastOneCounts(self) -> None:
        self.assertSame("+xe", "+xb")
        self.assertSame("+xb", "+xs", "+xi")

    def test_acceptAll(self) -> None:
        """Both accept all that DCMTK knows; which they like best differs, and is documented."""
        with _theirs("--accept-all") as theirs:
            self.assertEqual(set(theirs.order(_CT, _PROPOSED)), _KNOWN)
            self.assertEqual(theirs.order(_CT, _PROPOSED)[0], "1.2.840.10008.1.2.4.91")
        self.assertLess(_KNOWN, set(_Ours("--accept-all").order(_CT, _PROPOSED)))

    def test_storageClasses(self) -> None:
        """By itself DCMTK accepts all storage SOP classes; ours do with an option."""
        with _theirs() as theirs:
            self.assertEqual(theirs.results([_SR]), [0])
        self.assertEqual(_Ours().results([_SR]), [3])
        self.assertEqual(_Ours("--all-storage-classes").results([_SR]), [0])
