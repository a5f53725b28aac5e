"""A store that has an index of its files in an SQLite database."""

from twisted.enterprise.adbapi import ConnectionPool
from twisted.logger import Logger
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.soon import settled

STUDY, SERIES = WANTED = (0x0020000D, 0x0020000E)
TABLE = "CREATE TABLE IF NOT EXISTS instance (uid TEXT PRIMARY KEY, class TEXT, study TEXT, series TEXT, path TEXT)"
INSERT = "INSERT OR REPLACE INTO instance VALUES (?, ?, ?, ?, ?)"
log = Logger()


def openIndex(path, **parameters):
    """Open the database; its one connection is used by one thread at a time."""
    return ConnectionPool("sqlite3", path, check_same_thread=False, cp_min=1, cp_max=1, **parameters)


@implementer(IStorageSCP)
class IndexingStore:
    """Acknowledges what is in the index; `files` is a FileStore with withdrawable=True."""

    def __init__(self, files, index):
        self.files, self.index = files, index

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
        study, series = (instance.attributes.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace") for tag in WANTED)
        row = (instance.sopInstanceUID, instance.sopClassUID, study, series, self.writer.path)
        try:
            await self.index.runOperation(INSERT, row)
        except Exception as error:
            log.error("not in the index: {error}", error=error)
            await settled(self.writer.withdraw())
            raise DIMSEError(Status.OUT_OF_RESOURCES, "the index cannot be written") from error
        await settled(self.writer.keep())
        return status
