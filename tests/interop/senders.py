"""Senders for `tests.interop.sidebyside.compare`: DCMTK's, and such as say one thing at a time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from tests.interop.corpus import namedFiles
from tests.interop.peers import run
from tests.interop.rawsender import RELEASE_REQUEST, RawSender
from tests.interop.sidebyside import Sender
from tests.interop.wire import ABORT, AC, RELEASE_RP
from tests.receivers import PROPOSED, dataPDUs, dataSet, storeRQ
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import AAssociateRQ

__all__ = ["echoscu", "opensslClient", "raw", "secondAssociation", "storeMessage", "storescu"]

#: How long an answer may take that some receivers do not give, in seconds.
_PATIENCE = 3.0


def storescu(*options: str, files: Iterable[str] = ("CT_small.dcm", "MR_small.dcm"), required: bool = True) -> Sender:
    """
    Send files over one association; the result is the exit status.

    :param required: whether only their SOP classes are proposed.
    """
    paths = [path for name in files for path in (file.path for file in namedFiles(name))]
    proposing = ("--required",) if required else ()
    return lambda port: run("storescu", "-nh", *proposing, *options, "127.0.0.1", port, *paths).status


def echoscu(*options: str) -> Sender:
    """Send a C-ECHO; the result is the exit status."""
    return lambda port: run("echoscu", *options, "127.0.0.1", port).status


def opensslClient(*options: str) -> Sender:
    """Try to get a TLS connection; the result is whether there was one."""

    def send(port: int) -> bool:
        # The exit status is another one if the connection is closed before it has been told why.
        output = run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options).output
        return re.search(r"^New, (?!\(NONE)", output, re.MULTILINE) is not None

    return send


def storeMessage(content: bytes | None = None, sopInstance: str = "", spaces: bool = False) -> bytes:
    """
    Encode a C-STORE-RQ with its data set.

    :param content: the data set; a small one by itself.
    :param sopInstance: the SOP Instance UID of both.
    :param spaces: whether all UIDs of an odd length are padded by a space.
    """
    which = {"sopInstance": sopInstance} if sopInstance else {}
    message = b"".join([storeRQ(**which), *dataPDUs(dataSet(**which) if content is None else content)])  # type: ignore[arg-type]
    return message.replace(sopInstance.encode() + b"\0", sopInstance.encode() + b" ") if spaces else message


def raw(
    *messages: bytes, request: AAssociateRQ | bytes | None = None, release: bool = True, patience: float = _PATIENCE
) -> Sender:
    """
    Associate and send messages; the result is how that ended and how many whole seconds it took.

    :param release: whether to release the association then; otherwise nothing is said any more.
    """
    asking = associateRQ(PROPOSED) if request is None else request
    first = asking if isinstance(asking, bytes) else asking.encode()

    def send(port: int) -> tuple[str, int]:
        began = time.monotonic()
        with RawSender(port, patience) as sender:
            try:
                sender.send(first)
                kind = sender.receive()[0]
                if kind == AC:
                    sender.send(*messages, RELEASE_REQUEST if release else b"")
                    while kind not in (RELEASE_RP, ABORT):
                        kind = sender.receive()[0]
                ended = "answered"
            except TimeoutError:
                ended = "waited in vain"
            except (EOFError, ConnectionResetError):
                ended = "cut off"
        return ended, int(time.monotonic() - began)

    return send


def secondAssociation(port: int) -> str:
    """Have an association while another one is idle; the result is how that went."""
    with RawSender(port) as first:
        first.send(associateRQ(PROPOSED).encode())
        first.receive()
        ended, _ = raw()(port)  # type: ignore[misc]
        first.send(RELEASE_REQUEST)
        first.receive()
    return str(ended)
