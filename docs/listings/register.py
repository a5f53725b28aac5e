"""A store that keeps a line of CSV for each instance, and refuses those without a Patient ID."""

import csv

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.services.collecting import CollectingStore


class Register(CollectingStore):
    wanted = ("PatientID",)

    def __init__(self, path):
        super().__init__(self.keep)
        self.path = path

    def keep(self, association, instance, dataSet):
        patientID = instance.text("PatientID")
        if not patientID:
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "no Patient ID")
        with open(self.path, "a", newline="") as lines:
            csv.writer(lines).writerow([patientID, instance.sopInstanceUID, len(dataSet)])
        return Status.SUCCESS
