"""A store that gives other ones instances that do not tell whom they are of."""

import hmac
from dataclasses import replace

from pydicom import Dataset
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError, MessageError, SourceError
from txdicom.services.collecting import CollectingStore
from txdicom.services.datasets import decodeDataSet, encodeDataSet
from txdicom.soon import settled

KEPT = {"SOPClassUID", "Modality", "InstanceNumber", "SliceThickness", "PixelSpacing", "PixelData"}
CHANGED = {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}
IMAGE = 0x0028  # the group that tells how pixels are to be read; what is text in it goes
TEXT = {"LO", "LT", "PN", "SH", "SQ", "ST", "UC", "UN", "UR", "UT"}


class DeidentifyingStore(CollectingStore):
    """Keeps what is listed above and the image itself, and nothing else; who has the key can tell who is who."""

    def __init__(self, store, key, maximumLength=1 << 28, inThread=deferToThread):
        super().__init__(self.keep, maximumLength)
        self.inner, self.key, self.inThread = store, key, inThread

    def newUID(self, uid):
        return f"2.25.{int.from_bytes(hmac.digest(self.key, str(uid).encode(), 'sha256')[:16])}"

    def deidentified(self, data, transferSyntaxUID):
        reduced = Dataset()
        for element in decodeDataSet(data, transferSyntaxUID):
            if element.keyword in CHANGED:
                element.value = self.newUID(element.value)
            elif element.keyword not in KEPT and (element.tag.group != IMAGE or element.VR in TEXT):
                continue
            reduced.add(element)
        reduced.PatientIdentityRemoved = "YES"
        reduced.DeidentificationMethod = "removed what is not known to be harmless"
        return encodeDataSet(reduced, transferSyntaxUID)

    async def keep(self, association, instance, data):
        try:
            data = await self.inThread(self.deidentified, data, instance.transferSyntaxUID)
        except (MessageError, SourceError) as error:
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "the data set cannot be read") from error
        unknown = replace(instance, sopInstanceUID=self.newUID(instance.sopInstanceUID), attributes={})
        writer = await settled(self.inner.store(association, unknown))
        try:
            await settled(writer.write([memoryview(data)]))
        except Exception:
            writer.abort(Failure())
            raise
        return await settled(writer.commit())
