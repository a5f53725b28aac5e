"""The bounds and times of an association, in one frozen object that is handed in."""

from __future__ import annotations

from dataclasses import dataclass

from txdicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["Configuration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    What one side of an association holds itself and its peer to. All lengths are in bytes, all times in seconds.
    """

    #: The largest P-DATA-TF body we announce and accept (PS3.8 D.1.1); 0 announces no limit.
    maximumPDULength: int = 16384
    #: The largest A-ASSOCIATE-RQ or -AC body we read.
    maximumAssociateLength: int = 1 << 20
    #: The largest command set we read.
    maximumCommandLength: int = 1 << 16
    #: The longest data set we take; 0 for no limit. A longer one is answered 0xA700 when it has been drained.
    maximumDataSetLength: int = 0
    #: How many associations an acceptor has at once, in all and with one peer address; 0 for no limit. One more is
    #: rejected (transient, local limit exceeded).
    maximumAssociations: int = 1000
    maximumAssociationsPerPeer: int = 0
    #: How many connections may be open that have no association, because they have not asked yet or have ended it. For
    #: one more, the oldest of them is closed.
    maximumIdleConnections: int = 2000
    #: ARTIM (PS3.8 9.1.5): how long a connection may stay without an association, or open after the association's end.
    #: Also how long we wait for the peer's answer to a request for association or release.
    artimTimeout: float = 30.0
    #: How long a peer may leave a message or PDU unfinished in which it sends less than `minimumProgress` bytes; 0 for
    #: ever.
    socketTimeout: float = 60.0
    minimumProgress: int = 1024
    #: How long an association may do nothing between messages; 0 for ever.
    dimseTimeout: float = 0.0
    #: How long a provider's or writer's Deferred may take, while its association waits for it.
    providerTimeout: float = 300.0
    #: How long a peer may leave what we send unread.
    sendTimeout: float = 60.0
    #: How long a peer may take to answer a request of ours, counted anew whenever it sends something; 0 for ever.
    responseTimeout: float = 300.0
    #: The longest data set of a C-FIND, C-GET, C-MOVE or N- message that we take: those are held in memory.
    maximumIdentifierLength: int = 1 << 20
    #: Sent in the user information of our A-ASSOCIATE PDUs (PS3.7 D.3.3.2).
    implementationClassUID: str = IMPLEMENTATION_CLASS_UID
    implementationVersionName: str = IMPLEMENTATION_VERSION_NAME
