"""
What the tests of the storescp program share: instances to send, and receivers on a reactor in memory.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import twisted.internet
from twisted.internet import reactor as _installed  # noqa: F401 - which makes it an attribute that can be patched
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import EXPLICIT_LITTLE, PATIENT_NAME, SOP_CLASS_UID, SOP_INSTANCE_UID, element
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.commands import CStoreRQ
from txdicom.dimse.commandsets import decodeCommand, encodeCommand
from txdicom.dimse.messages import encodeMessage
from txdicom.storage import outputdirectory
from txdicom.storescp.options import Options
from txdicom.storescp.tap import makeService
from txdicom.testing import RawPeer, associateRQ, connectRaw
from txdicom.upperlayer.pdu import PDU, PDV, AAssociateAC, PDataTF

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
INSTANCE = "1.2.826.0.1.3680043.9.3811.7"
FILE_NAME = f"CT.{INSTANCE}"
#: What `ReceiverTestCase.associate` proposes, and the presentation context IDs this gives.
PROPOSED = [(VERIFICATION, [EXPLICIT_LITTLE]), (CT, [EXPLICIT_LITTLE])]
ECHO_CONTEXT, CT_CONTEXT = 1, 3
#: Bits of the message control header.
COMMAND, LAST = 1, 2


def dataSet(rest: bytes = b"", sopClass: str = CT, sopInstance: str = INSTANCE, syntax: str = EXPLICIT_LITTLE) -> bytes:
    """
    Encode a small data set that tells who it is.

    :param rest: elements to add, of groups beyond 0008.
    """
    return b"".join(
        (
            element(syntax, SOP_CLASS_UID, b"UI", _padded(sopClass)),
            element(syntax, SOP_INSTANCE_UID, b"UI", _padded(sopInstance)),
            element(syntax, PATIENT_NAME, b"PN", b"Doe^Jane"),
            rest,
        )
    )


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def storeRQ(messageID: int = 1, sopClass: str = CT, sopInstance: str = INSTANCE) -> bytes:
    """Encode the P-DATA-TF PDU of a C-STORE-RQ for what `dataSet` makes."""
    return encodeMessage(CT_CONTEXT, encodeCommand(CStoreRQ(messageID, sopClass, sopInstance)), None, 0)


def dataPDUs(*fragments: bytes) -> list[bytes]:
    """Encode a data set as P-DATA-TF PDUs, one for each fragment."""
    last = len(fragments) - 1
    return [
        PDataTF((PDV(CT_CONTEXT, LAST if index == last else 0, fragment),)).encode()
        for index, fragment in enumerate(fragments)
    ]


def statusesIn(pdus: list[PDU]) -> list[tuple[int, int]]:
    """Return message ID and status of the responses in PDUs that hold one whole response each."""
    statuses = []
    for pdu in pdus:
        if not isinstance(pdu, PDataTF):
            raise AssertionError(f"{pdu} where a response was expected")
        response: Any = decodeCommand(b"".join(pdv.data for pdv in pdu.pdvs))
        statuses.append((response.messageIDBeingRespondedTo, response.status))
    return statuses


def filesIn(directory: str | Path) -> list[str]:
    """
    Return the names of all files in a directory and below it, and so of those that are unfinished as well.

    What is left out is the lock that a store has in the directory of its unfinished files.
    """
    return sorted(name for _, _, names in os.walk(directory) for name in names if name != "lock")


class ReceiverTestCase(SynchronousTestCase):
    """
    Receivers on a reactor in memory.

    :ivar reactor: what `makeService` finds, a clock as well.
    :ivar directory: where instances go.
    :ivar environment: what is left of `os.environ`.
    """

    def setUp(self) -> None:
        """Put another reactor in the place of the global one, and keep the user's environment out."""
        self.reactor = MemoryReactorClock()
        self.patch(twisted.internet, "reactor", self.reactor)
        self.environment = {name: value for name, value in os.environ.items() if name != "DCMDICTPATH"}
        self.patch(os, "environ", self.environment)
        self.directory = os.path.abspath(self.mktemp())
        os.makedirs(self.directory)
        # This reactor has no threads, which a store would use there.
        self.patch(outputdirectory, "isRemote", lambda descriptor: False)

    def optionsOf(self, *arguments: str) -> Options:
        """Parse a command line; where to store is added."""
        options = Options()
        options.parseOptions(["--output-directory", self.directory, *arguments])
        return options

    def serve(self, *arguments: str) -> AcceptorFactory:
        """Make and start the service, and return the factory that listens on port 104."""
        self.service: Any = makeService(self.optionsOf(*arguments, "104"))
        self.service.startService()
        factory: AcceptorFactory = self.reactor.tcpServers[-1][1]
        return factory

    def associate(self, factory: AcceptorFactory) -> RawPeer:
        """Connect a peer that has an association."""
        peer = connectRaw(factory)
        (response,) = peer.send(associateRQ(PROPOSED))
        self.assertIsInstance(response, AAssociateAC)
        return peer

    def ask(self, peer: RawPeer, *data: bytes) -> list[tuple[int, int]]:
        """Send bytes; return message ID and status of all responses that have come."""
        return statusesIn(peer.send(*data))

    def store(self, peer: RawPeer, messageID: int = 1, data: bytes | None = None) -> list[tuple[int, int]]:
        """Send an instance in one fragment; return message ID and status of all responses that have come."""
        return self.ask(peer, storeRQ(messageID), *dataPDUs(dataSet() if data is None else data))
