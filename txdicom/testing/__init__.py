"""
Tools for tests of programs that use txdicom: two real protocols connected in memory, and doubles of stores.

Nothing here touches a socket or waits for real time. `sendTo` is all that most tests of a store need: it sends
instances to one, through everything there is but the network. For more than that, `connectInMemory` joins a requestor
to an acceptor; whatever they send each other moves when `MemoryLink.flush` is called, in pieces of any size. The
transports honour pauses and have send buffers that fill, so flow control can be tested as well.

All of it is imported from here::

    sendTo, exampleDataSet               send instances to a store; make one
    RecordingStore, StoredInstance       a store that remembers, and fails when it is told to
    MemoryEndpoint                       takes the place of the network for `txdicom.requestor.connect`
    requestor, connectInMemory           an association, and its connection to an acceptor
    MemoryLink, MemoryTransport          that connection and its ends
    connectRaw, RawPeer                  a peer that sends any bytes or PDUs
    associateRQ, message, commandsIn     what such a peer sends, and what it is answered
"""

from txdicom.testing.links import MemoryLink, MemoryTransport
from txdicom.testing.peers import (
    MemoryEndpoint,
    RawPeer,
    associateRQ,
    commandsIn,
    connectInMemory,
    connectRaw,
    message,
    requestor,
)
from txdicom.testing.stores import RecordingStore, StoredInstance, exampleDataSet, sendTo

__all__ = [
    "MemoryEndpoint",
    "MemoryLink",
    "MemoryTransport",
    "RawPeer",
    "RecordingStore",
    "StoredInstance",
    "associateRQ",
    "commandsIn",
    "connectInMemory",
    "connectRaw",
    "exampleDataSet",
    "message",
    "requestor",
    "sendTo",
]
