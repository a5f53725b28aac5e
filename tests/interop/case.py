"""What the tests of all peers share: `ReceiverTestCase`."""

from __future__ import annotations

import atexit
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar, TypeVar

from pydicom import dcmread
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.peers import Finished, requireModule, requireProgram, run
from tests.interop.receiver import Receiver
from tests.interop.relay import Conversation, RecordingRelay
from tests.interop.wire import Exchange, Message

__all__ = [
    "BIG",
    "IMPLICIT",
    "LITTLE",
    "OFFERED",
    "OTHERS",
    "SYNTAXES",
    "VERIFICATION",
    "ReceiverTestCase",
    "Talk",
    "dataSetOf",
    "storedName",
]

_T = TypeVar("_T")

#: Transfer syntaxes.
IMPLICIT = "1.2.840.10008.1.2"
LITTLE = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
#: What the manual page promises: these transfer syntaxes, explicit ones preferred, the host's byte order first.
SYNTAXES = (LITTLE, BIG, IMPLICIT)
VERIFICATION = "1.2.840.10008.1.1"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: What the manual page promises: these SOP classes; with what their files' names begin.
OFFERED = {
    VERIFICATION: "",
    _STORAGE + "1": "CR",
    _STORAGE + "2": "CT",
    _STORAGE + "3": "USf",
    _STORAGE + "3.1": "USm",
    _STORAGE + "4": "MR",
    _STORAGE + "5": "NMr",
    _STORAGE + "6": "USr",
    _STORAGE + "6.1": "US",
    _STORAGE + "7": "SC",
    _STORAGE + "8": "OV",
    _STORAGE + "9": "CV",
    _STORAGE + "10": "ML",
    _STORAGE + "11": "VO",
    _STORAGE + "12.1": "XA",
    _STORAGE + "12.2": "RF",
    _STORAGE + "12.3": "XB",
    _STORAGE + "20": "NM",
}
#: What else the corpus has; with what their files' names begin when they are accepted.
OTHERS = {
    _STORAGE + "2.1": "CTe",
    _STORAGE + "4.1": "MRe",
    _STORAGE + "9.1.1": "TLE",
    _STORAGE + "66.4": "SG",
    _STORAGE + "88.11": "SRt",
    _STORAGE + "88.33": "SRc",
    _STORAGE + "481.2": "RD",
    _STORAGE + "481.3": "RS",
    _STORAGE + "481.5": "RP",
    _STORAGE + "481.8": "RPi",
    "1.2.840.10008.5.1.4.39.1": "CP",
}
_C_STORE_RQ = 0x0001
#: Tags of command elements.
_COMMAND_FIELD = 0x00000100
_RESPONDED_TO = 0x00000120
_MESSAGE_ID = 0x00000110
_STATUS = 0x00000900
_SOP_CLASS = 0x00000002
_SOP_INSTANCE = 0x00001000


@dataclass
class Talk:
    """
    What came of a sender's talking to the receiver.

    :ivar result: what the sender returned.
    :ivar exchanges: one for each connection.
    :ivar stored: the files that the receiver made, by name.
    """

    result: Any
    exchanges: list[Exchange]
    stored: dict[str, bytes]

    @property
    def exchange(self) -> Exchange:
        """The only connection."""
        (exchange,) = self.exchanges
        return exchange


def dataSetOf(file: bytes) -> bytes:
    """What follows the file meta information of a file (PS3.10 7.1)."""
    if file[128:140] != b"DICM\x02\0\0\0UL\4\0":
        raise ValueError("no preamble, or no group length where it has to be")
    (length,) = struct.unpack_from("<I", file, 140)
    return file[144 + length :]


def storedName(sopClass: str, sopInstance: str) -> str:
    """What the file of an instance has to be called."""
    return f"{(OFFERED | OTHERS).get(sopClass, 'UNKNOWN')}.{sopInstance}"


class _Running:
    """
    The receiver and the relay of the test case that is being run; those of the one before it are stopped first.

    pytest says when a test case is done; trial does not, so the last ones are stopped when the program ends.
    """

    current: ClassVar[_Running | None] = None

    def __init__(self, case: type[ReceiverTestCase]) -> None:
        self.case = case
        self.receiver = Receiver(*case.options)
        self.relay = RecordingRelay(self.receiver.port)

    @classmethod
    def of(cls, case: type[ReceiverTestCase]) -> _Running:
        """Those of a test case."""
        if cls.current is None or cls.current.case is not case or not cls.current.receiver.alive:
            cls.stop()
            cls.current = cls(case)
        return cls.current

    @classmethod
    def stop(cls) -> None:
        """Stop what is running."""
        running, cls.current = cls.current, None
        if running is not None:
            running.relay.stop()
            running.receiver.stop()


atexit.register(_Running.stop)


class ReceiverTestCase(SynchronousTestCase):
    """
    Tests of one receiver, which is started once for all of them.

    :cvar programs: what has to be installed.
    :cvar modules: likewise, Python's.
    :cvar options: the receiver's.
    """

    programs: ClassVar[Iterable[str]] = ()
    modules: ClassVar[Iterable[str]] = ()
    options: ClassVar[tuple[str, ...]] = ()

    def setUp(self) -> None:
        """Have a receiver that nobody is connected to, and nothing in its directory."""
        for program in self.programs:
            requireProgram(program)
        for module in self.modules:
            requireModule(module)
        running = _Running.of(type(self))
        self.receiver = running.receiver
        self.relay = running.relay
        self.relay.take()
        self.receiver.take()

    @classmethod
    def tearDownClass(cls) -> None:
        """Stop the receiver; trial does not call this."""
        _Running.stop()

    def tearDown(self) -> None:
        """Whatever the peers did: the receiver has neither failed nor ended."""
        self.assertEqual(self.receiver.takeFailures(), [])

    def conversations(self) -> list[Conversation]:
        """What was said since the last time, when all connections are closed and the receiver knows it."""
        conversations = self.relay.take()
        self.receiver.settle()
        return conversations

    def talk(self, sender: Callable[[], _T]) -> Talk:
        """Let a sender talk, to `relay.port`, until all of its connections are closed."""
        result = sender()
        exchanges = [Exchange(conversation) for conversation in self.conversations()]
        return Talk(result, exchanges, self.receiver.take())

    def runSender(self, program: str, *arguments: object) -> Talk:
        """Let a program talk; the word ``PORT`` among its arguments stands for the port."""
        port = self.relay.port
        return self.talk(lambda: run(program, *(port if argument == "PORT" else argument for argument in arguments)))

    def assertFinished(self, finished: Finished, status: int = 0) -> None:
        """A program ended with this status."""
        self.assertEqual(finished.status, status, finished.output)

    def due(self, abstract: str, transfers: Sequence[str]) -> tuple[int, str]:
        """
        What the manual page promises for a presentation context; a subclass with other options promises more.

        :return: the result, and the transfer syntax if that is acceptance.
        """
        if abstract not in OFFERED:
            return 3, ""
        preferred = next((syntax for syntax in SYNTAXES if syntax in transfers), "")
        return (0, preferred) if preferred else (4, "")

    def assertNegotiated(self, exchange: Exchange) -> None:
        """Every presentation context was answered as it is due."""
        self.assertEqual(set(exchange.answered), set(exchange.proposed))
        for contextID, (abstract, transfers) in exchange.proposed.items():
            result, transfer = exchange.answered[contextID]
            answer = (result, "" if result else transfer)
            self.assertEqual(answer, self.due(abstract, transfers), (abstract, transfers))

    def assertStored(self, talk: Talk, refused: Mapping[str, int] | None = None) -> int:
        """
        Every request was answered with success, and there are the files of the C-STORE-RQs and no others: each with
        the bytes of the last data set that the wire carried under its name.

        :param refused: SOP Instance UID -> status, of those that are to be answered with another status and not kept.
        :return: how many C-STORE-RQ were answered with success.
        """
        expected: dict[str, tuple[Exchange, Message]] = {}
        succeeded = 0
        for exchange in talk.exchanges:
            self.assertNegotiated(exchange)
            self.assertEqual(len(exchange.responses), len(exchange.requests))
            for request, response in zip(exchange.requests, exchange.responses, strict=True):
                instance = request.text(_SOP_INSTANCE) if _SOP_INSTANCE in request.command else ""
                status = (refused or {}).get(instance, 0x0000)
                self.assertEqual(
                    (response.contextID, response.number(_COMMAND_FIELD), response.number(_RESPONDED_TO)),
                    (request.contextID, request.number(_COMMAND_FIELD) | 0x8000, request.number(_MESSAGE_ID)),
                )
                self.assertEqual(response.number(_STATUS), status, instance)
                if request.number(_COMMAND_FIELD) == _C_STORE_RQ and not status:
                    expected[storedName(request.text(_SOP_CLASS), instance)] = (exchange, request)
                    succeeded += 1
        self.assertEqual(sorted(talk.stored), sorted(expected))
        for name, (exchange, message) in expected.items():
            self.assertFile(talk.stored[name], exchange, message)
        return succeeded

    def assertFile(self, file: bytes, exchange: Exchange, message: Message) -> None:
        """A file is what a C-STORE-RQ brought: byte for byte, behind a file meta information that says so."""
        self.assertTrue(dataSetOf(file) == message.dataSet, "the file does not hold the bytes that were sent")
        self.assertEqual(file[:128], bytes(128))
        meta = dcmread(BytesIO(file), specific_tags=[]).file_meta
        self.assertEqual(
            (
                meta.MediaStorageSOPClassUID,
                meta.MediaStorageSOPInstanceUID,
                meta.TransferSyntaxUID,
                meta.SourceApplicationEntityTitle,
            ),
            (
                message.text(_SOP_CLASS),
                message.text(_SOP_INSTANCE),
                exchange.answered[message.contextID][1],
                exchange.callingAETitle,
            ),
        )
