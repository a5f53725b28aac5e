"""
Tests of what docs/limits.rst says: every bound is exceeded in a conversation, and the peer sees what is written there.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.documents import firstCells
from tests.headvectors import EXPLICIT_LITTLE, ITEM, PATIENT_NAME, UNDEFINED, element, header
from tests.retrieving import Archive
from tests.scripted import (
    COMMAND,
    CT_CONTEXT,
    ECHO_CONTEXT,
    LAST,
    PROPOSED,
    ConversationTestCase,
    ScriptedProvider,
    dataSet,
    message,
    pData,
    storeRQ,
)
from txdicom.configuration import Configuration
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ, CommandField, GenericCommand
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.responses import Responses
from txdicom.services.retrieval import GetService
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService, echo
from txdicom.storage.disk import Disk
from txdicom.testing import RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.uids import VERIFICATION
from txdicom.upperlayer.fields import MAX_UID_LENGTH
from txdicom.upperlayer.items import (
    MAX_PRESENTATION_CONTEXTS,
    MAX_TRANSFER_SYNTAXES,
    MAX_USER_INFORMATION_ITEMS,
    UserInformation,
)
from txdicom.upperlayer.pdu import PDU, AAbort, AAssociateRJ
from txdicom.upperlayer.subitems import RoleSelection


def described(answers: list[PDU]) -> str:
    """Describe the last PDU that a peer was sent as docs/limits.rst does."""
    answer = answers[-1]
    if isinstance(answer, AAbort):
        return f"A-ABORT {answer.source}/{answer.reason}"
    if isinstance(answer, AAssociateRJ):
        return f"A-ASSOCIATE-RJ {answer.result}/{answer.source}/{answer.reason}"
    return type(answer).__name__


def item(itemType: int, content: bytes) -> bytes:
    """Encode an item of an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    return bytes([itemType, 0]) + len(content).to_bytes(2, "big") + content


def documented(before: str) -> dict[str, str]:
    """Return what docs/limits.rst says that peers see: the last literal of each row, by the first."""
    return {row[0]: row[-1] for row in firstCells("limits.rst", before)}


class LimitTests(ConversationTestCase):
    """Every bound of an association, exceeded."""

    def peer(self, **configuration: float) -> RawPeer:
        """Connect a peer that has an association; the keywords are `Configuration`'s."""
        self.serve(VerificationService(), StorageService(RecordingStore()), **configuration)
        return self.associate()

    def seen(self, peer: RawPeer) -> str:
        """Say what a peer sees at last."""
        peer.link.flush()
        answers = peer.takePDUs()
        return "closed" if peer.lost and not answers else described(answers)

    def silent(self, seconds: float, peer: RawPeer, before: bytes = b"", each: bytes = b"") -> str:
        """Say what a peer sees that sends something once, then something else every quarter of a second."""
        peer.send(before)
        for _ in range(int(5 * seconds)):
            self.clock.advance(0.25)
            if each and not peer.lost:
                peer.transport.write(each)
            peer.link.flush()
        return self.seen(peer)

    def exceedMaximumPDULength(self, bound: int) -> str:
        return described(self.peer().send(b"\x04\0" + (bound + 1).to_bytes(4, "big")))

    def exceedMaximumAssociateLength(self, bound: int) -> str:
        self.serve(VerificationService())
        return described(connectRaw(self.factory).send(b"\x01\0" + (bound + 1).to_bytes(4, "big")))

    def exceedMaximumCommandLength(self, bound: int) -> str:
        pieces = [pData(ECHO_CONTEXT, COMMAND, bytes(16000))] * (bound // 16000 + 1)
        return described(self.peer().send(*pieces))

    def exceedMaximumDataSetLength(self, bound: int) -> str:
        """There is none by default."""
        data = dataSet(rest=element(EXPLICIT_LITTLE, PATIENT_NAME + 0x10, b"LO", bytes(1000)))
        (answer,) = self.ask(self.peer(maximumDataSetLength=500), message(CT_CONTEXT, storeRQ(), data, 100))
        return f"0x{answer.status:04X}"

    def exceedMaximumAssociations(self, bound: int) -> str:
        self.peer(maximumAssociations=1)
        return described(connectRaw(self.factory).send(associateRQ(PROPOSED)))

    def exceedMaximumAssociationsPerPeer(self, bound: int) -> str:
        self.peer(maximumAssociationsPerPeer=1)
        return described(connectRaw(self.factory).send(associateRQ(PROPOSED)))

    def exceedMaximumIdleConnections(self, bound: int) -> str:
        self.serve(VerificationService(), maximumIdleConnections=1)
        first, _ = connectRaw(self.factory), connectRaw(self.factory)
        return self.seen(first)

    def exceedArtimTimeout(self, bound: float) -> str:
        self.serve(VerificationService())
        return self.silent(bound, connectRaw(self.factory))

    def exceedSocketTimeout(self, bound: float) -> str:
        return self.silent(bound, self.peer(socketTimeout=bound), message(CT_CONTEXT, storeRQ(), dataSet())[:-20])

    def exceedMinimumProgress(self, bound: int) -> str:
        """Fall short of it, rather: a few bytes every second."""
        begun = message(CT_CONTEXT, storeRQ()) + pData(CT_CONTEXT, 0, dataSet(rest=bytes(10000)))[:200]
        return self.silent(60, self.peer(socketTimeout=60.0), begun, b"\0")

    def exceedDimseTimeout(self, bound: float) -> str:
        """There is none by default."""
        return self.silent(10, self.peer(dimseTimeout=10.0))

    def exceedResponseTimeout(self, bound: float) -> str:
        """Of what an acceptor asks, which storescp does not."""
        peer = self.providingPeer()
        echo(self.acceptorsSide()).addErrback(lambda _: None)
        return self.silent(bound, peer)

    def exceedMaximumIdentifierLength(self, bound: int) -> str:
        """A response that is longer; `tests.test_responses` has longer requests."""
        peer = self.providingPeer()
        association = self.acceptorsSide()
        context = association.contextFor(VERIFICATION)
        Responses(association, context, CEchoRQ(7), None, lambda response, dataSet: None)
        response = GenericCommand(CommandField.C_FIND_RSP, {0x0120: 7, 0x0800: 0, 0x0900: 0xFF00})
        return described(peer.send(message(ECHO_CONTEXT, response, bytes(bound + 2)))[-1:])

    def providingPeer(self) -> RawPeer:
        """Connect a peer that is the SCP of Verification as well, so that it can be asked something."""
        storage = {VERIFICATION: (EXPLICIT_LITTLE,)}
        self.serve(VerificationService(), GetService(Archive([]), ["1.2"], Disk(), storage=storage))
        roles = (RoleSelection(VERIFICATION, True, True),)
        information = UserInformation(maximumLength=16384, roleSelections=roles)
        return self.associate(request=associateRQ(PROPOSED, userInformation=information))

    def acceptorsSide(self) -> Association:
        """Return the association at the other end of the last peer's."""
        (association,) = self.factory.associations
        return association

    def exceedProviderTimeout(self, bound: float) -> str:
        self.serve(ScriptedProvider(Deferred()))
        return self.silent(bound, self.associate(), message(CT_CONTEXT, storeRQ(), dataSet()))

    def exceedSendTimeout(self, bound: float) -> str:
        peer = self.peer()
        peer.link.server.capacity = 0
        peer.link.client.pauseProducing()
        return self.silent(bound, peer, message(ECHO_CONTEXT, CEchoRQ(1)))

    def test_everyBound(self) -> None:
        """What docs/limits.rst says that a peer sees is what it sees."""
        for name, seen in documented("Of an association\n").items():
            exceed = getattr(self, f"exceed{name[0].upper()}{name[1:]}")
            self.assertEqual(exceed(getattr(Configuration(), name)), seen, name)

    def test_longTimesOfGoodPeers(self) -> None:
        """One that sends as much as it has to is left in peace, for as long as it likes."""
        peer = self.peer(socketTimeout=60.0)
        peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, dataSet()))
        for _ in range(3600):
            self.clock.advance(1)
            peer.send(pData(CT_CONTEXT, 0, bytes(30)))
        self.assertEqual(self.statusesOf(self.ask(peer, pData(CT_CONTEXT, LAST, b"end."))), [(1, 0x0000)])

    def test_fixedBounds(self) -> None:
        """Too much of what is proposed, and of a data set's head, in the order of docs/limits.rst."""
        contexts = [item(0x20, bytes([2 * count + 1, 0, 0, 0])) for count in range(MAX_PRESENTATION_CONTEXTS)]
        syntaxes = item(0x20, b"\1\0\0\0" + item(0x40, EXPLICIT_LITTLE.encode()) * (MAX_TRANSFER_SYNTAXES + 1))
        unknown = item(0x50, item(0x60, b"") * (MAX_USER_INFORMATION_ITEMS + 1))
        uid = item(0x20, b"\1\0\0\0" + item(0x30, b"1" * (MAX_UID_LENGTH + 1)))
        seen = []
        for items in (b"".join([*contexts, contexts[0]]), syntaxes, unknown, uid):
            self.serve(VerificationService())
            body = associateRQ().encode()[6:74] + items
            seen.append(described(connectRaw(self.factory).send(b"\x01\0" + len(body).to_bytes(4, "big") + body)))
        longest = b"1" * MAX_UID_LENGTH
        command = encodeCommand(storeRQ(sopInstance=longest.decode()))
        command = command.replace(b"\x40\0\0\0" + longest, b"\x42\0\0\0" + longest + b"1\0")
        level = header(EXPLICIT_LITTLE, 0x00080006, b"SQ", UNDEFINED) + header(EXPLICIT_LITTLE, ITEM, b"", UNDEFINED)
        head = element(EXPLICIT_LITTLE, 0x00080001, b"UN", bytes(1 << 20)) + dataSet()
        peer = self.peer()
        for sent in (
            pData(CT_CONTEXT, COMMAND | LAST, command) + pData(CT_CONTEXT, LAST, dataSet()),
            message(CT_CONTEXT, storeRQ(), head),
            message(CT_CONTEXT, storeRQ(), 33 * level + dataSet()),
        ):
            (answer,) = self.ask(peer, sent)
            seen.append(f"0x{answer.status:04X}")
        self.assertEqual(seen, [row[1] for row in firstCells("limits.rst", "Of what is proposed and sent\n")])
