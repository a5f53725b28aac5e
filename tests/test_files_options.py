"""Tests of `txdicom.storescp.files`: what the options about files lead to."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from tests.test_naming import instance
from tests.test_options import OptionsTestCase
from txdicom.storage.filestore import Duplicates
from txdicom.storescp.files import makeDuplicates, makeForm, makeNaming
from txdicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

TIME = "[0-9]{8}_[0-9]{9}"
RECEIVED = instance(uid="1.2", study=b"1.3", name=b"Doe^Jane")


class NamingTests(OptionsTestCase):
    """Options about names."""

    def test_names(self) -> None:
        for arguments, name, wanted in (
            ((), r"CT\.1\.2", 0),
            (("-uf",), r"CT\.1\.2", 0),
            (("+uf",), r"CT\.X\.2\.25\.[0-9]+", 0),
            (("-tn",), r"[0-9]{17}\.CT", 0),
            (("-fe", ".dcm"), r"CT\.1\.2\.dcm", 0),
            (("-tn", "-fe", "dcm"), r"[0-9]{17}\.CTdcm", 0),
            (("-su", "P"), r"P_1\.3/CT\.1\.2", 1),
            (("-ss", "P"), rf"P_{TIME}/CT\.1\.2", 1),
            (("-sp",), rf"Doe_Jane_{TIME}/CT\.1\.2", 3),
            (("-sp", "-tn", "-fe", ".d"), rf"Doe_Jane_{TIME}/[0-9]{{17}}\.CT\.d", 3),
            (("+B", "-ss", "P", "+uf"), rf"P_{TIME}/CT\.X\.2\.25\.[0-9]+", 1),
            (("--path", "{PatientName}/{SOPInstanceUID}.dcm"), r"Doe\^Jane/1\.2\.dcm", 3),
        ):
            naming = makeNaming(self.parse(*arguments, "104"))
            self.assertRegex(naming.name(RECEIVED), f"^{name}$")
            self.assertEqual(len(naming.wanted), wanted, arguments)

    def test_longestNames(self) -> None:
        """With the longest prefix, extension and UIDs a name is one that file systems take."""
        uid = "1" * 64
        received = instance("1.2.3", uid, study=uid.encode(), name=b"x" * 1024)
        for arguments in (("-su", "P" * 64), ("-ss", "ä" * 32), ("-sp",)):
            naming = makeNaming(self.parse("-fe", "x" * 64, *arguments, "104"))
            self.assertLess(max(len(part.encode()) for part in naming.name(received).split("/")), 240)

    def test_neverReplacesAnotherInstance(self) -> None:
        """Whatever is not unique gets a number where its name is taken."""
        for arguments, expected in (
            ((), Duplicates.OVERWRITE),
            (("-tn",), Duplicates.RENAME),
            (("-tn", "--duplicates", "overwrite"), Duplicates.RENAME),
            (("-tn", "--duplicates", "reject"), Duplicates.REJECT),
            (("+uf",), Duplicates.OVERWRITE),
            (("--path", "{PatientID}"), Duplicates.RENAME),
            (("--path", "{PatientID}/{SOPInstanceUID}"), Duplicates.OVERWRITE),
            (("--path", "{SOPInstanceUID}", "--duplicates", "keep"), Duplicates.KEEP),
            (("--duplicates", "reject"), Duplicates.REJECT),
        ):
            options = self.parse(*arguments, "104")
            self.assertIs(makeDuplicates(options, makeNaming(options)), expected, arguments)

    def test_refused(self) -> None:
        beginning = "is no beginning of a name: 1 to 64 characters, no '/', first no '.' or '-'"
        for sentence, arguments in (
            ("--duplicates keep cannot be given with --timenames", ("-tn", "--duplicates", "keep")),
            (
                "--duplicates keep needs a --path with {SOPInstanceUID} in it, apart from other fields",
                ("--path", "{PatientID}", "--duplicates", "keep"),
            ),
            (f"prefix 'a/b' {beginning}", ("-su", "a/b")),
            (f"prefix '../a' {beginning}", ("-ss", "../a")),
            (f"prefix '' {beginning}", ("-su", "")),
            (f"prefix '-x' {beginning}", ("--sort-on-study-uid=-x",)),
            (f"prefix '.x' {beginning}", ("-ss", ".x")),
            (f"prefix 'a\\nb' {beginning}", ("-ss", "a\nb")),
            (f"prefix {'ä' * 33!r} {beginning}", ("-ss", "ä" * 33)),
            ("--filename-extension 'a/b' is no end of a name: at most 64 characters, no '/'", ("-fe", "a/b")),
            ("--path '../{PatientID}' has a part that begins with '.': '..'", ("--path", "../{PatientID}")),
            ("--path cannot be given with --timenames", ("--path", "{PatientID}", "-tn")),
            ("--sort-conc-studies cannot be given with --sort-on-patientname", ("-ss", "P", "-sp")),
            ("--bit-preserving cannot be given with --write-xfer-big", ("+B", "+tb")),
        ):
            self.assertRefused(sentence, *arguments, "104")


class FormTests(OptionsTestCase):
    """Options about what files have in them."""

    def test_forms(self) -> None:
        for arguments, hasFileMeta, syntax in (
            ((), True, ""),
            (("+F", "+t=", "-B"), True, ""),
            (("+B",), True, ""),
            (("-F",), False, ""),
            (("-F", "+F"), True, ""),
            (("+te",), True, EXPLICIT_VR_LITTLE_ENDIAN),
            (("-F", "+tb"), False, EXPLICIT_VR_BIG_ENDIAN),
            (("+te", "+ti"), True, IMPLICIT_VR_LITTLE_ENDIAN),
            (("+td",), True, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
        ):
            form = makeForm(self.parse(*arguments, "104"))
            self.assertEqual((form.hasFileMeta, form.transferSyntaxUID), (hasFileMeta, syntax), arguments)
