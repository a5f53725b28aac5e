"""
Does `txdicom.services.head` give the same outcome however the bytes are cut, for data sets and for anything else?
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.headvectors import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_DELIMITER,
    LONG_VRS,
    PIXEL_DATA,
    SEQUENCE_DELIMITER,
    SHORT_VRS,
    SYNTAXES,
    UNDEFINED,
    WANTED,
    HeadTestCase,
    Outcome,
    cut,
    element,
    enclosed,
    header,
    read,
)

EXAMPLES = settings(deadline=None, max_examples=150, derandomize=True, database=None)


class Leaf(NamedTuple):
    """An element that is no sequence."""

    tag: int
    vr: bytes
    value: bytes

    def encode(self, syntax: str) -> bytes:
        """Give the element's bytes."""
        return element(syntax, self.tag, self.vr, self.value)


class Branch(NamedTuple):
    """A sequence; each of its items is a pair: whether its length is undefined, and its elements."""

    tag: int
    vr: bytes
    undefined: bool
    items: list[tuple[bool, list[Node]]]

    def encode(self, syntax: str) -> bytes:
        """Give the sequence's bytes."""
        inner = IMPLICIT_LITTLE if self.vr == b"UN" else syntax
        content = b"".join(self.encodeItem(inner, undefined, nodes) for undefined, nodes in self.items)
        if self.undefined:
            return enclosed(syntax, self.tag, self.vr, content, SEQUENCE_DELIMITER)
        return element(syntax, self.tag, self.vr, content)

    def encodeItem(self, syntax: str, undefined: bool, nodes: list[Node]) -> bytes:
        """Give one item's bytes."""
        content = encode(syntax, nodes)
        return (
            enclosed(syntax, ITEM, b"", content, ITEM_DELIMITER) if undefined else element(syntax, ITEM, b"", content)
        )


Node: TypeAlias = Leaf | Branch


def encode(syntax: str, nodes: list[Node]) -> bytes:
    """Encode elements in their order."""
    return b"".join(node.encode(syntax) for node in nodes)


def expected(nodes: list[Node], wanted: set[int]) -> Outcome:
    """Tell from the elements themselves what has to be found."""
    attributes: dict[int, bytes] = {}
    for node in nodes:
        if node.tag > max(wanted):
            return Outcome(attributes, True, "")
        if isinstance(node, Leaf) and node.tag in wanted:
            attributes.setdefault(node.tag, node.value)
            if node.tag == max(wanted):
                return Outcome(attributes, True, "")
    return Outcome(attributes, False, "")


syntaxes = st.sampled_from(SYNTAXES)
wantedTags = st.sets(st.sampled_from(WANTED), min_size=1)
sizes = st.lists(st.integers(0, 40), max_size=60)
otherTags = st.builds(
    lambda group, number: group << 16 | 0x1100 | number, st.sampled_from((8, 9, 16, 32)), st.integers(0, 99)
)
vrs = st.sampled_from((*SHORT_VRS, *LONG_VRS))
leaves = st.builds(Leaf, st.sampled_from(WANTED) | otherTags, vrs, st.binary(max_size=40))


def branches(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Make sequences of these elements."""
    items = st.lists(st.tuples(st.booleans(), st.lists(nodes, max_size=3)), max_size=3)
    return st.builds(Branch, otherTags, st.sampled_from((b"SQ", b"UN")), st.booleans(), items)


anyNodes: st.SearchStrategy[Node] = st.recursive(leaves, branches, max_leaves=8)
dataSets = st.lists(anyNodes, max_size=12)
sortedDataSets = dataSets.map(lambda nodes: sorted(nodes, key=lambda node: node.tag))

anyTags = st.sampled_from((*WANTED, ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER, PIXEL_DATA, 0x00081140, 0x00020010, 0))
anyLengths = st.sampled_from((0, 1, 4, 16, 17, 0xFFFE, 0xFFFFFFFE, UNDEFINED))


@st.composite
def piece(draw: st.DrawFn, syntax: str) -> bytes:
    """Make the header of an element, likely or not, or some bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=12))
    vr = draw(st.sampled_from((b"SQ", b"UN", b"OB", b"UI", b"UT", b"\0\0", b"ZZ")))
    length = draw(anyLengths)
    return header(syntax, draw(anyTags), vr, length & 0xFFFF if vr == b"UI" and syntax != IMPLICIT_LITTLE else length)


class FragmentationTests(HeadTestCase):
    """Where the fragments begin and end does not matter."""

    @EXAMPLES
    @given(dataSets | sortedDataSets, syntaxes, wantedTags, sizes)
    def test_anyDataSet(self, nodes: list[Node], syntax: str, wanted: set[int], sizes: list[int]) -> None:
        """Any data set, in any encoding and fragmentation, gives the wanted elements of its head."""
        data = encode(syntax, nodes)
        self.assertEqual(read([data], syntax, wanted), expected(nodes, wanted))
        self.assertEqual(read(cut(data, sizes), syntax, wanted), expected(nodes, wanted))
        self.assertEqual(read(cut(data, [1] * len(data)), syntax, wanted), expected(nodes, wanted))

    @EXAMPLES
    @given(dataSets, syntaxes, st.integers(0, 2000), sizes)
    def test_anyTruncation(self, nodes: list[Node], syntax: str, length: int, sizes: list[int]) -> None:
        """The beginning of a data set is never an error, and gives nothing that the whole does not give."""
        data = encode(syntax, nodes)
        outcome = read(cut(data[:length], sizes), syntax)
        self.assertEqual(outcome.error, "")
        self.assertLessEqual(outcome.attributes.items(), expected(nodes, set(WANTED)).attributes.items())

    @EXAMPLES
    @given(st.data(), syntaxes, sizes, st.integers(0, 120))
    def test_anyBytes(self, data: st.DataObject, syntax: str, sizes: list[int], maximumHeadLength: int) -> None:
        """Whatever is fed has one outcome, be it an error or not, in any fragmentation."""
        content = b"".join(data.draw(st.lists(piece(syntax), max_size=20)))
        whole = read([content], syntax, WANTED, 16, maximumHeadLength)
        self.assertEqual(read(cut(content, sizes), syntax, WANTED, 16, maximumHeadLength), whole)
        self.assertEqual(read(cut(content, [1] * len(content)), syntax, WANTED, 16, maximumHeadLength), whole)
        self.assertFalse(whole.done and whole.error)

    @EXAMPLES
    @given(sortedDataSets, syntaxes, sizes, st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4))
    def test_anyDamage(self, nodes: list[Node], syntax: str, sizes: list[int], damage: list[tuple[int, int]]) -> None:
        """A data set with some of its bytes changed has one outcome as well."""
        damaged = bytearray(encode(syntax, nodes))
        for position, value in damage:
            damaged[position : position + 1] = bytes([value])
        data = bytes(damaged)
        whole = read([data], syntax, WANTED, 16, 400)
        self.assertEqual(read(cut(data, sizes), syntax, WANTED, 16, 400), whole)
        self.assertEqual(read(cut(data, [1] * len(data)), syntax, WANTED, 16, 400), whole)
