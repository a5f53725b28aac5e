"""Answers queries for what `indexing.py` has stored, and says which files are to be sent: the study root model."""

from pydicom import Dataset
from pydicom.multival import MultiValue
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IQuerySCP, IRetrieveSCP
from txdicom.services.instances import HeldInstance, Identity

#: Each level's unique key, and what may be asked for there.
LEVELS = {
    "STUDY": ("StudyInstanceUID", ["PatientName", "PatientID", "StudyDate", "StudyInstanceUID"]),
    "SERIES": ("SeriesInstanceUID", ["Modality", "SeriesInstanceUID"]),
    "IMAGE": ("SOPInstanceUID", ["SOPClassUID", "SOPInstanceUID"]),
}
LIKE = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})


def levelOf(identifier):
    level = identifier.get("QueryRetrieveLevel", "")
    if level not in LEVELS:
        raise DIMSEError(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "Query/Retrieve Level is none of study root's")
    return level


def matching(identifier, keywords):
    """Make the condition that rows match (PS3.4 C.2.2.2), and its parameters; nothing of a peer's becomes SQL."""
    conditions, parameters = ["1"], []
    for keyword in keywords:
        value = identifier.get(keyword)
        values = [str(one) for one in (value if isinstance(value, MultiValue) else [value or ""])]
        start, dash, end = values[0].partition("-")
        if values == [""]:
            continue
        if keyword == "StudyDate" and dash:
            conditions.append(f"{keyword} BETWEEN ? AND ?")
            parameters += [start or "0", end or "9"]
        elif keyword.endswith("UID"):
            conditions.append(f"{keyword} IN ({', '.join('?' * len(values))})")
            parameters += values
        else:
            conditions.append(rf"{keyword} LIKE ? ESCAPE '\'")
            parameters.append(values[0].translate(LIKE))
    return " AND ".join(conditions), parameters


@implementer(IQuerySCP, IRetrieveSCP)
class Archive:
    def __init__(self, index):
        self.index = index

    async def find(self, association, sopClassUID, identifier):
        level = levelOf(identifier)
        key, _ = LEVELS[level]
        columns = []
        for name, (_, keywords) in LEVELS.items():
            columns += keywords
            if name == level:
                break
        where, parameters = matching(identifier, columns)
        query = f"SELECT {', '.join(columns)} FROM instance WHERE {where} GROUP BY {key}"
        for row in await self.index.runQuery(query, parameters):
            match = Dataset()
            match.SpecificCharacterSet = "ISO_IR 192"
            match.QueryRetrieveLevel = level
            match.RetrieveAETitle = association.calledAETitle
            match.update({keyword: value for keyword, value in zip(columns, row, strict=True) if keyword in identifier})
            yield match

    async def retrieve(self, association, sopClassUID, identifier):
        key, _ = LEVELS[levelOf(identifier)]
        if not identifier.get(key):
            raise DIMSEError(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, f"the identifier has no {key}")
        where, parameters = matching(identifier, [unique for unique, _ in LEVELS.values()])
        query = f"SELECT SOPClassUID, SOPInstanceUID, syntax, path FROM instance WHERE {where} ORDER BY path"
        for sopClassUID, sopInstanceUID, syntax, path in await self.index.runQuery(query, parameters):
            yield HeldInstance(Identity(sopClassUID, sopInstanceUID, syntax), path)
