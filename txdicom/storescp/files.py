"""What the options about files ask for: how instances are called, and what is written of them."""

from __future__ import annotations

from txdicom.storage.filestore import Duplicates
from txdicom.storage.naming import NameOf, Naming, TimeNames, nameOfInstance, uniqueName, withDirectory, withExtension
from txdicom.storage.outputform import OutputForm
from txdicom.storage.sorting import BY_PATIENT_NAME, BY_STUDY, StudyDirectories, byPatientName, byPrefix, byStudyUID
from txdicom.storescp.options import Options

__all__ = ["makeDuplicates", "makeForm", "makeNaming"]


def makeNaming(options: Options) -> Naming:
    """Say what instances are called."""
    template = options["path"]
    if template is not None:
        return Naming(template, template.wanted, template.isUnique)
    filenames = options["filenames"]
    ways: dict[str, NameOf] = {"instance": nameOfInstance, "unique": uniqueName, "time": TimeNames()}
    nameOf = ways[filenames]
    if options["filename-extension"]:
        nameOf = withExtension(nameOf, options["filename-extension"])
    isUnique = filenames != "time"
    if options["sort-on-study-uid"] is not None:
        return Naming(withDirectory(byStudyUID(options["sort-on-study-uid"]), nameOf), BY_STUDY, isUnique)
    if options["sort-conc-studies"] is not None:
        directoryOf = StudyDirectories(byPrefix(options["sort-conc-studies"]))
        return Naming(withDirectory(directoryOf, nameOf), BY_STUDY, isUnique)
    if options["sort-on-patientname"]:
        return Naming(withDirectory(StudyDirectories(byPatientName), nameOf), BY_PATIENT_NAME, isUnique)
    return Naming(nameOf, isUnique=isUnique)


def makeDuplicates(options: Options, naming: Naming) -> Duplicates:
    """Say what becomes of an instance whose file is there already."""
    duplicates = Duplicates(options["duplicates"])
    if duplicates is Duplicates.OVERWRITE and not naming.isUnique:
        # What is there may be another instance, which its sender was told is stored.
        return Duplicates.RENAME
    return duplicates


def makeForm(options: Options) -> OutputForm:
    """Say what files have in them."""
    return OutputForm(options["file-form"] == "file", options["write-xfer"])
