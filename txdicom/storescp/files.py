"""What the options about files ask for: how instances are called, and what is written of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txdicom.storage.filestore import Duplicates
from txdicom.storage.naming import NameOf, Naming, TimeNames, nameOfInstance, uniqueName, withDirectory, withExtension
from txdicom.storage.outputform import OutputForm
from txdicom.storage.sorting import BY_PATIENT_NAME, BY_STUDY, StudyDirectories, byPatientName, byPrefix, byStudyUID

__all__ = ["makeBeginning", "makeDuplicates", "makeForm", "makeNaming"]


def makeBeginning(options: Mapping[str, Any]) -> NameOf | None:
    """Say how directories begin that are called by the time when a study began; None if there are none."""
    if options["sort-conc-studies"] is not None:
        return byPrefix(options["sort-conc-studies"])
    return byPatientName if options["sort-on-patientname"] else None


def makeNaming(options: Mapping[str, Any], directories: NameOf | None = None) -> Naming:
    """
    Say what instances are called.

    :param directories: those that are called by time, if others have to know them; they begin as `makeBeginning` says.
    """
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
    beginning = makeBeginning(options)
    if beginning is not None:
        wanted = BY_PATIENT_NAME if options["sort-on-patientname"] else BY_STUDY
        return Naming(withDirectory(directories or StudyDirectories(beginning), nameOf), wanted, isUnique)
    return Naming(nameOf, isUnique=isUnique)


def makeDuplicates(options: Mapping[str, Any], naming: Naming) -> Duplicates:
    """Say what becomes of an instance whose file is there already."""
    duplicates = Duplicates(options["duplicates"])
    if duplicates is Duplicates.OVERWRITE and not naming.isUnique:
        # What is there may be another instance, which its sender was told is stored.
        return Duplicates.RENAME
    return duplicates


def makeForm(options: Mapping[str, Any]) -> OutputForm:
    """Say what files have in them."""
    return OutputForm(options["file-form"] == "file", options["write-xfer"])
