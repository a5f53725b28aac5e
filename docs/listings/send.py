"""Send one DICOM file: python send.py HOST PORT FILE"""

import sys
from io import BytesIO

from pydicom import Dataset, dcmread
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import react

from txdicom.dimse.status import describe
from txdicom.services.storage import store
from txdicom.testing import associateRQ, requestor


async def main(reactor, host, port, path):
    file = dcmread(path)
    sopClass, instance, syntax = file.SOPClassUID, file.SOPInstanceUID, file.file_meta.TransferSyntaxUID
    dataSet = BytesIO()
    Dataset(file).save_as(dataSet, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)

    association = requestor(reactor, associateRQ({sopClass: [syntax]}))
    await connectProtocol(HostnameEndpoint(reactor, host, int(port)), association.protocol)
    await association.whenEstablished()
    response = await store(association, sopClass, instance, syntax, dataSet.getvalue())
    await association.release()
    print(f"0x{response.status:04X} {describe(response.status)}")


react(main, sys.argv[1:])
