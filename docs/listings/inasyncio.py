"""Send a C-ECHO from asyncio: python inasyncio.py HOST PORT"""

import asyncio
import sys

from twisted.internet import asyncioreactor

loop = asyncio.new_event_loop()
asyncioreactor.install(loop)

from twisted.internet.defer import Deferred  # noqa: E402 - the reactor has to be installed first
from twisted.internet.endpoints import HostnameEndpoint  # noqa: E402
from twisted.internet.task import react  # noqa: E402

from txdicom.requestor import connect  # noqa: E402
from txdicom.uids import VERIFICATION  # noqa: E402


async def program(reactor, host, port):
    # A coroutine of asyncio's: it may await whatever else there is, and Deferreds by asFuture.
    association = await connect(HostnameEndpoint(reactor, host, int(port)), [VERIFICATION]).asFuture(loop)
    await asyncio.sleep(0.01)
    response = await association.echo().asFuture(loop)
    print(f"0x{response.status:04X}")
    await association.release().asFuture(loop)


react(lambda reactor, *arguments: Deferred.fromFuture(loop.create_task(program(reactor, *arguments))), sys.argv[1:])
