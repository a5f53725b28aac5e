"""
Many senders at once, in a process of their own: ``python -m tests.manysenders PORT COUNT``.

All associations are established before any instance is sent, and all responses are there before any is released.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import react

from tests.receivers import CT, INSTANCE, PROPOSED, dataSet
from txdicom.services.storage import store
from txdicom.testing import associateRQ, requestor
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN


async def main(reactor: Any, port: str, count: str) -> None:
    """Send one instance over each of `count` associations."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", int(port))
    associations = [requestor(reactor, associateRQ(PROPOSED)) for _ in range(int(count))]
    for association in associations:
        await connectProtocol(endpoint, association.protocol)
    await gatherResults([association.whenEstablished() for association in associations])
    storing: list[Deferred[Any]] = []
    for number, association in enumerate(associations):
        uid = f"{INSTANCE}.{number}"
        data = dataSet(bytes(0), sopInstance=uid)
        storing.append(store(association, CT, uid, EXPLICIT_VR_LITTLE_ENDIAN, data))
    responses = await gatherResults(storing)
    print(*(response.status for response in responses))  # noqa: T201 - this is what the test reads
    await gatherResults([association.release() for association in associations])


if __name__ == "__main__":
    react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
