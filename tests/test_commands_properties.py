"""
Properties of `txdicom.dimse.commandsets`, with pydicom and pynetdicom as judges in both directions.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pynetdicom.dimse_messages import _COMMAND_SET_KEYWORDS, _MESSAGE_TYPES, DIMSEMessage
from pynetdicom.dsutils import decode as oracleDecode
from pynetdicom.dsutils import encode as oracleEncode
from pynetdicom.pdu_primitives import P_DATA
from twisted.trial.unittest import SynchronousTestCase

from txdicom.dimse.commands import (
    ELEMENTS,
    NO_DATA_SET,
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    Command,
    CommandField,
    CStoreRQ,
    CStoreRSP,
    GenericCommand,
)
from txdicom.dimse.commandsets import decodeCommand, elementsOf, encodeCommand
from txdicom.dimse.elements import joinElements
from txdicom.errors import LocalProtocolError, MessageError

EXAMPLES = settings(deadline=None, max_examples=80, derandomize=True, database=None)

numbers = st.integers(0, 0xFFFF)
uids = st.lists(st.integers(0, 2**40).map(str), max_size=4).map(".".join)
letters = st.sampled_from([chr(c) for c in range(0x20, 0x7F) if c != 0x5C])
titles = st.text(letters, max_size=16).map(str.strip)
comments = st.text(letters, max_size=64).map(str.strip)
tagLists = st.lists(st.integers(0, 0xFFFFFFFF), max_size=4).map(tuple)
errors = {"errorComment": comments, "offendingElements": tagLists, "hasDataSet": st.booleans()}
plain = st.one_of(
    st.builds(CStoreRSP, numbers, numbers, st.none() | uids, st.none() | uids),
    st.builds(CEchoRSP, numbers, numbers, st.none() | uids),
)
storeRequests = st.builds(
    CStoreRQ, numbers, uids, uids, numbers, st.none() | titles, st.none() | numbers, st.booleans()
)
specific = st.one_of(
    plain,
    storeRequests,
    st.builds(CStoreRSP, numbers, numbers, st.none() | uids, st.none() | uids, **errors),
    st.builds(CEchoRQ, numbers, uids, st.booleans()),
    st.builds(CEchoRSP, numbers, numbers, st.none() | uids, **errors),
    st.builds(CCancelRQ, numbers, st.booleans()),
)
valuesOf: dict[str, st.SearchStrategy[Any]] = {"US": numbers, "UI": uids, "AE": titles, "LO": comments, "AT": tagLists}
retired = dict.fromkeys((0x0001, 0x0010, 0x0200, 0x0300, 0x4000, 0x5010, 0xFFFF), st.binary(max_size=20))
known = {tag: valuesOf[vr] for tag, (vr, _) in ELEMENTS.items() if tag != 0x0100}


@st.composite
def genericCommands(draw: st.DrawFn, optional: Mapping[int, Any] = known | retired) -> GenericCommand:
    commandField = draw(st.sampled_from(list(CommandField)) | numbers)
    if commandField in (0x0001, 0x8001, 0x0030, 0x8030, 0x0FFF):
        commandField = CommandField.N_GET_RQ
    mandatory = (0x0800, 0x0120, 0x0900) if commandField & 0x8000 else (0x0800, 0x0110)
    always = {tag: known[tag] for tag in mandatory}
    sometimes = {tag: values for tag, values in optional.items() if tag not in mandatory}
    elements: dict[int, Any] = draw(st.fixed_dictionaries(always, optional=sometimes))
    return GenericCommand(int(commandField), elements)


commands = specific | genericCommands()


@st.composite
def damagedCommandSets(draw: st.DrawFn) -> bytes:
    data = bytearray(encodeCommand(draw(commands)))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, max(0, len(data) - 1)))
        data[position : position + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def plainValue(value: Any) -> Any:
    """A pydicom value as `elementsOf` gives it, but for lists of one."""
    if isinstance(value, MultiValue | list):
        return tuple(int(item) for item in value)
    return (int(value),) if isinstance(value, BaseTag) else value


def asSeenByPydicom(data: bytes) -> dict[str, Any]:
    """Keyword -> value of a command set, without its group length, which has to be right."""
    dataset = oracleDecode(BytesIO(data), True, True)
    if dataset.CommandGroupLength != len(data) - 12:
        raise AssertionError(f"group length {dataset.CommandGroupLength} of {len(data)} bytes")
    return {item.keyword: plainValue(item.value) for item in dataset if item.tag != 0}


def named(command: Command) -> dict[str, Any]:
    """What `asSeenByPydicom` should give; an empty list of tags is None there."""
    return {ELEMENTS[tag][1]: None if value == () else value for tag, _, value in elementsOf(command)}


class OracleTests(SynchronousTestCase):
    """Every kind of message that pynetdicom knows, both ways."""

    SAMPLES = {
        "UI": "1.2.840.10008.3.1",
        "US": 0xA511,
        "AE": "STORE SCP",
        "LO": "it did not work",
        "AT": (0x00080018, 0x7FE00010),
    }

    def samples(self) -> dict[int, dict[str, Any]]:
        """Command Field -> keyword -> value, with every element the message may have."""
        byKeyword = {keyword: self.SAMPLES[vr] for vr, keyword in ELEMENTS.values()}
        messages = {}
        for commandField, (name, _) in _MESSAGE_TYPES.items():
            keywords = _COMMAND_SET_KEYWORDS[name.replace("_", "-")][1:]
            fixed = {"CommandField": commandField, "CommandDataSetType": NO_DATA_SET}
            messages[commandField] = {keyword: byKeyword[keyword] for keyword in keywords} | fixed
        return messages

    def test_pynetdicomKnowsEveryCommandField(self) -> None:
        self.assertEqual(set(self.samples()), set(CommandField))

    def test_messagesOfPynetdicomDecode(self) -> None:
        for commandField, sample in self.samples().items():
            dataset = Dataset()
            dataset.CommandGroupLength = 0
            for keyword, value in sample.items():
                setattr(dataset, keyword, list(value) if isinstance(value, tuple) else value)
            command = decodeCommand(oracleEncode(dataset, True, True) or b"")
            self.assertEqual(command.commandField, commandField)
            self.assertEqual(named(command), sample)
            self.assertEqual(asSeenByPydicom(encodeCommand(command)), sample)

    def test_pynetdicomTakesOurMessages(self) -> None:
        tags = {keyword: tag for tag, (_, keyword) in ELEMENTS.items()}
        for commandField, sample in self.samples().items():
            elements = {tags[keyword]: value for keyword, value in sample.items() if keyword != "CommandField"}
            primitive = P_DATA()
            data = encodeCommand(GenericCommand(commandField, elements))
            primitive.presentation_data_value_list.append((1, b"\x03" + data))
            message = DIMSEMessage()
            self.assertTrue(message.decode_msg(primitive))
            self.assertEqual(type(message).__name__, _MESSAGE_TYPES[commandField][0].replace("-", "_"))
            seen = {item.keyword: plainValue(item.value) for item in message.command_set if item.tag != 0}
            self.assertEqual(seen, sample)

    @EXAMPLES
    @given(specific | genericCommands(optional=known))
    def test_pydicomReadsWhatIsEncoded(self, command: Command) -> None:
        seen = asSeenByPydicom(encodeCommand(command))
        expected = named(command)
        # pydicom gives an empty UID, title or comment back as "" or None, which is no business of this test.
        self.assertEqual({k: v or None for k, v in seen.items()}, {k: v or None for k, v in expected.items()})


class RoundTripTests(SynchronousTestCase):
    """decode(encode(x)) == x, and nothing but `MessageError` for anything else."""

    @settings(EXAMPLES, max_examples=300)
    @given(commands)
    def test_encodedCommandsDecodeToThemselves(self, command: Command) -> None:
        self.assertEqual(decodeCommand(encodeCommand(command)), command)

    @EXAMPLES
    @given(commands)
    def test_encodedElementsAscendAndAreCountedByTheGroupLength(self, command: Command) -> None:
        data = encodeCommand(command)
        tags = [tag for tag, _, _ in elementsOf(command)]
        self.assertEqual(tags, sorted(tags))
        self.assertEqual(data[:12], struct.pack("<HHII", 0, 0, 4, len(data) - 12))
        self.assertEqual(data, joinElements(elementsOf(command)))

    @EXAMPLES
    @given(plain)
    def test_plainResponsesAreEncodedAsAnyOtherCommand(self, command: Command) -> None:
        self.assertEqual(encodeCommand(command), joinElements(elementsOf(command)))

    @EXAMPLES
    @given(storeRequests)
    def test_orderOfElementsDoesNotMatter(self, request: CStoreRQ) -> None:
        backwards = joinElements(reversed(elementsOf(request)))
        self.assertEqual(decodeCommand(backwards), request)

    @settings(EXAMPLES, max_examples=300)
    @given(st.binary(max_size=200) | damagedCommandSets())
    @example(b"")
    def test_anyBytesGiveACommandOrAMessageError(self, data: bytes) -> None:
        try:
            command = decodeCommand(data)
        except MessageError:
            return
        # What was understood can be sent on, unless it has values that only a careless peer would send.
        try:
            again = encodeCommand(command)
        except LocalProtocolError:
            return
        self.assertEqual(decodeCommand(again).commandField, command.commandField)

    @EXAMPLES
    @given(commands)
    def test_everyTruncationIsAMessageErrorOrACommandWithoutItsLastElements(self, command: Command) -> None:
        data = encodeCommand(command)
        whole = set(self.boundaries(data))
        for end in range(len(data)):
            if end not in whole:
                self.assertRaises(MessageError, decodeCommand, data[:end])

    def boundaries(self, data: bytes) -> list[int]:
        ends = [0]
        while ends[-1] < len(data):
            ends.append(ends[-1] + 8 + int.from_bytes(data[ends[-1] + 4 : ends[-1] + 8], "little"))
        return ends

    @settings(EXAMPLES, max_examples=5)
    @given(storeRequests.map(encodeCommand))
    @example(encodeCommand(CStoreRQ(1, "1.2", "1.3")))
    def test_usualAndUnusualStoreRequestsAreHeldToTheSameRules(self, data: bytes) -> None:
        """An unknown element at the end changes nothing but the way through the decoder."""
        unknown = struct.pack("<HHI", 0, 0x4F4F, 0)
        for position in range(len(data)):
            for byte in (0x00, 0x01, 0x02, 0x10, 0xFF):
                damaged = data[:position] + bytes([byte]) + data[position + 1 :]
                usual, unusual = self.outcome(damaged), self.outcome(damaged + unknown)
                if isinstance(unusual, GenericCommand):
                    unusual = replace(unusual, elements={k: v for k, v in unusual.elements.items() if k != 0x4F4F})
                self.assertEqual(usual, unusual)

    def outcome(self, data: bytes) -> Command | None:
        try:
            return decodeCommand(data)
        except MessageError:
            return None
