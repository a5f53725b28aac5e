"""What the page of pynetdicom's users has on its left: the tasks done with pynetdicom."""

from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)


def echo(host, port):
    ae = AE("ME")
    ae.add_requested_context(Verification)
    association = ae.associate(host, port, ae_title="PEER")
    if not association.is_established:
        raise ConnectionError("no association")
    status = association.send_c_echo().Status
    association.release()
    return status


def send(host, port, paths):
    ae = AE("ME")
    for path in paths:
        meta = dcmread(path, stop_before_pixels=True).file_meta
        ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    association = ae.associate(host, port, ae_title="PEER")
    if not association.is_established:
        raise ConnectionError("no association")
    statuses = [association.send_c_store(path).Status for path in paths]
    association.release()
    return statuses


def find(host, port, name):
    ae = AE("ME")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    query = Dataset()
    query.update({"QueryRetrieveLevel": "STUDY", "PatientName": name, "StudyInstanceUID": ""})
    association = ae.associate(host, port, ae_title="PEER")
    if not association.is_established:
        raise ConnectionError("no association")
    responses = association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
    found = [str(match.PatientName) for status, match in responses if match is not None]
    association.release()
    return found


def receive(port, directory):
    def store(event):
        path = Path(directory, f"{event.request.AffectedSOPInstanceUID}.dcm")
        path.write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE("PEER")
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax)
    return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])


def answer(port, names):
    def find(event):
        for name in names:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            match = Dataset()
            match.update({"PatientName": name})
            yield 0xFF00, match

    ae = AE("PEER")
    ae.add_supported_context(ModalityWorklistInformationFind)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
