"""DCMTK's storescp and ours with the same options and the same sender: `compare` tells what each of them did."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeAlias

from tests.interop.receiver import Receiver
from tests.interop.relay import RecordingRelay
from tests.interop.theirs import Theirs
from tests.interop.wire import ABORT, AC, DATA, RELEASE_RP, RJ, messages, pdus
from tests.programs import waitFor
from txdicom.upperlayer.pdu import AAssociateAC, decodePDU

__all__ = ["Outcome", "Sender", "compare", "filesBelow"]

#: Sends something to a port, and returns how that went.
Sender: TypeAlias = Callable[[int], object]

#: What a command of `tests.interop.test_sidebyside` writes, called by the number of its process.
_NOTE = re.compile(r"note\.[0-9]+")
#: What is another at each run, in the order in which it is looked for.
_MASKS = (
    (re.compile(r"\.X\.[0-9.]+"), ".X.<UID>"),
    (re.compile(r"[0-9]{8}_[0-9]{9}/"), "<time>/"),
    (re.compile(r"\b[0-9]{17}(?:_[0-9]{4})?\."), "<time>."),
    (re.compile(r"note\.[0-9]+$"), "note"),
)
_STATUS = 0x00000900
_KINDS = {DATA: "DATA", RELEASE_RP: "RELEASE"}


@dataclass(frozen=True)
class Outcome:
    """
    What came of it: for the sender, on the wire, and on the disk.

    :ivar result: what the sender returned.
    :ivar answers: what it was answered with, PDU by PDU, with lengths and codes.
    :ivar contexts: for each association the result of each presentation context, and the transfer syntax.
    :ivar statuses: of all responses, in their order.
    :ivar files: the names of the files, below the directory, masked where they are others at each run.
    :ivar contents: the files themselves, in the order of their names: of a DICOM file the data set.
    """

    result: object
    answers: list[str]
    contexts: list[dict[int, tuple[int, str]]]
    statuses: list[str]
    files: list[str]
    contents: list[bytes]

    def differences(self, other: Outcome) -> set[str]:
        """Return the names of the fields in which the two differ."""
        return {each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name)}


def compare(
    options: Sequence[str],
    sender: Sender,
    encrypted: bool = False,
    awaiting: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[Outcome, Outcome]:
    """
    Have both receive the same, at the same time.

    :param options: the options of both.
    :param encrypted: whether nothing can be told of what is said.
    :param awaiting: patterns of files below the directory, and how many of each have to be there before it is looked
        at: of DCMTK's, and of ours.
    :return: what DCMTK's did, and what ours did.
    """
    with ThreadPoolExecutor(2) as threads:
        running = [
            threads.submit(
                _outcome,
                kind,
                options,
                sender,
                encrypted,
                {pattern: counts[which] for pattern, counts in (awaiting or {}).items()},
            )
            for which, kind in enumerate((Theirs, Receiver))
        ]
        theirs, ours = (future.result() for future in running)
    return theirs, ours


def _outcome(
    kind: type[Receiver] | type[Theirs],
    options: Sequence[str],
    sender: Sender,
    encrypted: bool,
    awaiting: Mapping[str, int],
) -> Outcome:
    receiver = kind(*options)
    try:
        relay = RecordingRelay(receiver.port)
        try:
            result = sender(relay.port)
            conversations = relay.take()
        finally:
            relay.stop()
        for pattern, count in awaiting.items():
            waitFor(lambda p=pattern, n=count: _written(receiver.directory, p) >= n, f"{count} of {pattern}")
        found = filesBelow(receiver.directory)
    finally:
        receiver.stop()
    answered = [] if encrypted else [conversation.answered for conversation in conversations]
    return Outcome(
        result=result,
        answers=[answer for stream in answered for answer in _answers(stream)],
        contexts=[contexts for stream in answered for contexts in _contexts(stream)],
        statuses=[f"{message.number(_STATUS):04X}" for stream in answered for message in messages(stream)],
        files=[*found],
        contents=[_dataSet(content) for content in found.values()],
    )


def _answers(stream: bytes) -> Iterator[str]:
    for kind, body in pdus(stream):
        match decodePDU(kind, body):
            case AAssociateAC() as accepted:
                yield f"AC {accepted.userInformation.maximumLength}"
            case _ if kind in (RJ, ABORT):
                yield f"{'RJ' if kind == RJ else 'ABORT'} {'/'.join(map(str, body[1:]))}"
            case _:
                yield _KINDS[kind]


def _contexts(stream: bytes) -> Iterator[dict[int, tuple[int, str]]]:
    for kind, body in pdus(stream):
        if kind == AC:
            accepted = AAssociateAC.decode(body)
            yield {
                context.contextID: (int(context.result), "" if context.result else context.transferSyntax)
                for context in accepted.presentationContexts
            }


def _dataSet(content: bytes) -> bytes:
    """Return what follows the file meta information, or everything where there is none."""
    if content[128:132] != b"DICM":
        return content
    return content[144 + int.from_bytes(content[140:144], "little") :]


def _written(directory: Path, pattern: str) -> int:
    """Count the files that there are, and that something has been written to."""
    return sum(path.stat().st_size > 0 for path in directory.glob(pattern))


def filesBelow(directory: Path) -> dict[str, bytes]:
    """Read all files below a directory; what is another at each run is masked in their names."""
    found: dict[str, bytes] = {}
    paths = [path for path in directory.rglob("*") if path.is_file() and ".txdicom-" not in str(path)]
    for path in sorted(paths, key=_place):
        name = str(path.relative_to(directory))
        for pattern, mask in _MASKS:
            name = pattern.sub(mask, name)
        while name in found:
            name += "+"
        found[name] = path.read_bytes()
    return found


def _place(path: Path) -> tuple[Path, str, bytes]:
    """Tell where a file belongs: by its name, but notes by what they say, for theirs end with numbers of processes."""
    if _NOTE.fullmatch(path.name):
        return path.parent, "note", path.read_bytes()
    return path.parent, path.name, b""
