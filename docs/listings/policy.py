"""A policy for associations: who has a title has to come from its network, and not too often at once."""

from collections import Counter
from ipaddress import ip_address, ip_network

from txdicom.errors import RejectReason, RejectResult
from txdicom.upperlayer.pdu import AAssociateRJ


class KnownSenders:
    """Lets in the titles of a table, each from its network, with a few associations each."""

    def __init__(self, networks, atOnce=2):
        self.networks = {title: ip_network(network) for title, network in networks.items()}
        self.atOnce = atOnce
        self.present = Counter()

    def __call__(self, association, request):
        title = association.callingAETitle
        network = self.networks.get(title)
        if network is None or ip_address(association.peer.host) not in network:
            return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)
        if self.present[title] >= self.atOnce:
            return AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
        self.present[title] += 1
        association.whenEnded().addCallback(lambda _: self.present.subtract([title]))
        return None
