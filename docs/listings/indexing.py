"""A store that has an index of its files in an SQLite database."""

from pydicom.charset import convert_encodings, decode_bytes
from twisted.enterprise.adbapi import ConnectionPool
from twisted.logger import Logger
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IWantingStorageSCP
from txdicom.services.storage import wantedBy
from txdicom.soon import settled

#: What is taken from each instance, by the names of the attributes.
ATTRIBUTES = {
    "PatientName": 0x00100010,
    "PatientID": 0x00100020,
    "StudyDate": 0x00080020,
    "StudyInstanceUID": 0x0020000D,
    "Modality": 0x00080060,
    "SeriesInstanceUID": 0x0020000E,
}
CHARACTER_SET = 0x00080005
COLUMNS = ("SOPInstanceUID", "SOPClassUID", "syntax", "path", *ATTRIBUTES)
TABLE = f"CREATE TABLE IF NOT EXISTS instance ({', '.join(COLUMNS)}, PRIMARY KEY (SOPInstanceUID))"
INSERT = f"INSERT OR REPLACE INTO instance VALUES ({', '.join('?' * len(COLUMNS))})"
log = Logger()


def openIndex(path, **parameters):
    """Open the database; its one connection is used by one thread at a time."""
    return ConnectionPool("sqlite3", path, check_same_thread=False, cp_min=1, cp_max=1, **parameters)


def textOf(instance, tag):
    """Decode a value; what is no text in the character set that it claims is replaced."""
    named = instance.attributes.get(CHARACTER_SET, b"").decode("ascii", "replace").strip("\0 ").split("\\")
    return decode_bytes(instance.attributes.get(tag, b""), convert_encodings(named), set()).strip("\0 ")


@implementer(IWantingStorageSCP)
class IndexingStore:
    """Acknowledges what is in the index; `files` is a FileStore with withdrawable=True."""

    def __init__(self, files, index):
        self.files, self.index = files, index
        self.wanted = (CHARACTER_SET, *ATTRIBUTES.values(), *wantedBy(files))

    async def store(self, association, instance):
        return IndexingWriter(instance, await settled(self.files.store(association, instance)), self.index)


@implementer(IDataSetWriter)
class IndexingWriter:
    def __init__(self, instance, writer, index):
        self.instance, self.writer, self.index = instance, writer, index
        self.write, self.abort = writer.write, writer.abort

    async def commit(self):
        status = await settled(self.writer.commit())
        instance = self.instance
        identity = (instance.sopInstanceUID, instance.sopClassUID, instance.transferSyntaxUID, self.writer.path)
        try:
            row = (*identity, *(textOf(instance, tag) for tag in ATTRIBUTES.values()))
            await self.index.runOperation(INSERT, row)
        except Exception as error:
            log.error("not in the index: {error}", error=error)
            await settled(self.writer.withdraw())
            raise DIMSEError(Status.OUT_OF_RESOURCES, "the index cannot be written") from error
        await settled(self.writer.keep())
        return status
