"""Send DICOM files: python send.py HOST PORT FILE..."""

import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txdicom.dimse.status import describe
from txdicom.requestor import connect


async def main(reactor, host, port, *paths):
    endpoint = HostnameEndpoint(reactor, host, int(port))
    association = await connect(endpoint, send=paths, calledAETitle="STORESCP", callingAETitle="STORESCU")
    for path in paths:
        response = await association.store(path)
        print(f"0x{response.status:04X} {describe(response.status)}")
    await association.release()


react(main, sys.argv[1:])
