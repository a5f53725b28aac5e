"""
Tests of `txdicom.storescp.options`: those that bound, admit, keep and fail, by name, with good values and bad ones.

What they make of the receiver is in the tests of what they set.
"""

from __future__ import annotations

from ipaddress import ip_network

from tests.test_options import OptionsTestCase
from txdicom.configuration import Configuration
from txdicom.storescp.assembly import makeConfiguration
from txdicom.storescp.faults.plan import ABORT_AFTER, ABORT_DURING
from txdicom.storescp.faults.spelling import parseFault

#: What no number is, for all that Python takes some of it for one; digits are ASCII digits.
NOT_NUMBERS = ("", "two", "1 ", " 1", "+1", "1_0", "1e3", "0x10", "nan", "inf", "\u0663", "9" * 400)


class DefaultTests(OptionsTestCase):
    """Without options."""

    def test_defaults(self) -> None:
        """The values are those of the configuration, and everybody is let in."""
        options = self.parse("104")
        expected = {
            "fsync": 0,
            "require-called-aet": 0,
            "calling-aets": [],
            "networks": [],
            "duplicates": "overwrite",
            "min-free-space": 0,
            "max-object-size": 0,
            "max-associations": 1000,
            "max-associations-per-peer": 0,
            "socket-timeout": 60.0,
            "dimse-timeout": 0.0,
            "grace-period": 10.0,
            "faults": [],
        }
        self.assertEqual({name: options[name] for name in expected}, expected)
        self.assertEqual(makeConfiguration(options), Configuration())

    def test_listsAreNotShared(self) -> None:
        """Each command line has lists of its own."""
        self.parse("--accept-calling-aet=A", "--accept-from=::1", "--fault=1:abort", "--abort-after", "104")
        options = self.parse("104")
        self.assertEqual([options[name] for name in ("calling-aets", "networks", "faults")], [[], [], []])


class ConfigurationTests(OptionsTestCase):
    """`makeConfiguration`."""

    def test_everyBound(self) -> None:
        """Each option ends in the bound that it is there for."""
        for option, name, value in (
            ("--max-pdu=8192", "maximumPDULength", 8192),
            ("--max-object-size=2M", "maximumDataSetLength", 2 << 20),
            ("--max-associations=7", "maximumAssociations", 7),
            ("--max-associations-per-peer=7", "maximumAssociationsPerPeer", 7),
            ("--acse-timeout=7", "artimTimeout", 7.0),
            ("--dimse-timeout=7", "dimseTimeout", 7.0),
        ):
            configuration = makeConfiguration(self.parse(option, "104"))
            self.assertEqual(configuration, Configuration(**{name: value}))

    def test_socketTimeout(self) -> None:
        """It bounds both directions; a peer that does not read is never waited for without an end."""
        for text, seconds, sending in (("7", 7.0, 7.0), ("0", 0.0, Configuration().sendTimeout)):
            configuration = makeConfiguration(self.parse(f"--socket-timeout={text}", "104"))
            self.assertEqual(configuration, Configuration(socketTimeout=seconds, sendTimeout=sending))

    def test_delaysThatWereAskedFor(self) -> None:
        """Nobody is given up for a delay that he was told to make."""
        usual = Configuration().providerTimeout
        for arguments, more in (
            (["-s5"], 5.0),
            (["-S5"], 513 * 5.0),
            (["-s600", "-S1"], 600.0),
            (["--fault=1:delay=4", "--fault=2:delay=3"], 4.0),
            (["--fault=1:delay=4", "-s5"], 9.0),
        ):
            configuration = makeConfiguration(self.parse(*arguments, "104"))
            self.assertEqual(configuration, Configuration(providerTimeout=usual + more))


class TimeTests(OptionsTestCase):
    """``--socket-timeout``, ``--dimse-timeout`` and ``--grace-period``."""

    def test_numbers(self) -> None:
        """Whole and decimal numbers up to a day, and 0."""
        for name in ("socket-timeout", "dimse-timeout", "grace-period"):
            for text, seconds in (("0", 0.0), ("0.5", 0.5), (".25", 0.25), ("90", 90.0), ("86400", 86400.0)):
                self.assertEqual(self.parse(f"--{name}={text}", "104")[name], seconds)

    def test_notNumbers(self) -> None:
        for name in ("socket-timeout", "dimse-timeout", "grace-period"):
            for text in (*NOT_NUMBERS, "-1", "86400.5"):
                self.assertRefused(
                    f"--{name} {text!r} is not a number of seconds from 0 to 86400", "104", f"--{name}", text
                )


class CountTests(OptionsTestCase):
    """``--max-associations`` and ``--max-associations-per-peer``."""

    def test_numbers(self) -> None:
        """Up to a million, and 0 for no limit."""
        for name in ("max-associations", "max-associations-per-peer"):
            for count in (0, 1, 1000, 1000000):
                options = self.parse(f"--{name}", str(count), "104")
                self.assertEqual(options[name], count)

    def test_notNumbers(self) -> None:
        for name in ("max-associations", "max-associations-per-peer"):
            for text in (*NOT_NUMBERS, "-1", "1000001", "1.0", "1K"):
                self.assertRefused(
                    f"--{name} {text!r} is not a whole number from 0 to 1000000", f"--{name}={text}", "104"
                )


class SizeTests(OptionsTestCase):
    """``--max-object-size`` and ``--min-free-space``."""

    def test_numbers(self) -> None:
        """Bytes, or with a letter so many times 1024 of them."""
        for name in ("max-object-size", "min-free-space"):
            for text, size in (
                ("0", 0),
                ("1", 1),
                ("2000000", 2000000),
                ("500K", 500 << 10),
                ("20M", 20 << 20),
                ("4g", 4 << 30),
                ("1T", 1 << 40),
                ("0T", 0),
                (str(1 << 60), 1 << 60),
            ):
                self.assertEqual(self.parse(f"--{name}={text}", "104")[name], size)

    def test_notNumbers(self) -> None:
        for name in ("max-object-size", "min-free-space"):
            for text in (
                *NOT_NUMBERS,
                "-1",
                "-1K",
                "K",
                "1.5G",
                "1 K",
                "1KB",
                "1KK",
                "1P",
                str((1 << 60) + 1),
                "9999999T",
            ):
                self.assertRefused(
                    f"--{name} {text!r} is not a number of bytes, such as 2000000, 500K, 20M, 4G or 1T",
                    f"--{name}={text}",
                    "104",
                )


class AdmissionTests(OptionsTestCase):
    """``--require-called-aet``, ``--accept-calling-aet`` and ``--accept-from``."""

    def test_calledTitle(self) -> None:
        self.assertEqual(self.parse("--require-called-aet", "104")["require-called-aet"], 1)
        self.assertRefused(
            "option --require-called-aet must not have an argument", "--require-called-aet=STORESCP", "104"
        )

    def test_callingTitles(self) -> None:
        """As many as are given; spaces around them mean nothing, spaces alone are no title."""
        options = self.parse("--accept-calling-aet=CT1", "104", "--accept-calling-aet", " MR 2  ")
        self.assertEqual(options["calling-aets"], ["CT1", "MR 2"])
        for text in (" ", " " * 16):
            self.assertEqual(self.parse("--accept-calling-aet", text, "104")["calling-aets"], [""])

    def test_notCallingTitles(self) -> None:
        """What no peer can be called would let nobody in; an empty one is what an unset variable gives."""
        for text in ("", "X" * 17, "A\\B", "A\tB", "\t", "ÄRZTE"):
            self.assertRefused(
                f"--accept-calling-aet {text!r} is not an AE title of 1 to 16 characters",
                "104",
                f"--accept-calling-aet={text}",
            )

    def test_networks(self) -> None:
        """As many as are given; an address is a network of one."""
        texts = ("10.1.0.0/16", "fd00::/8", "192.0.2.1", "::1", "0.0.0.0/0", "10.0.0.0/255.0.0.0")
        options = self.parse(*[f"--accept-from={text}" for text in texts], "104")
        self.assertEqual(options["networks"], [ip_network(text) for text in texts])

    def test_notNetworks(self) -> None:
        for text in (
            "",
            "localhost",
            "10.1",
            "10.0.0.0/33",
            "256.0.0.0/8",
            "10.0.0.0/8,11.0.0.0/8",
            "fd00::/129",
            "\u0661.0.0.0",
        ):
            self.assertRefused(
                f"--accept-from {text!r} is not a network: {text!r} does not appear to be an IPv4 or IPv6 network",
                f"--accept-from={text}",
                "104",
            )
        for text in ("10.1.2.3/16", "fd00::1/8"):
            self.assertRefused(
                f"--accept-from {text!r} is not a network: {text} has host bits set", f"--accept-from={text}", "104"
            )


class StoreTests(OptionsTestCase):
    """``--fsync`` and ``--duplicates``."""

    def test_fsync(self) -> None:
        self.assertEqual(self.parse("104", "--fsync")["fsync"], 1)
        self.assertRefused("option --fsync must not have an argument", "--fsync=yes", "104")

    def test_duplicates(self) -> None:
        for choice in ("overwrite", "keep", "reject", "rename"):
            self.assertEqual(self.parse("--duplicates", choice, "104")["duplicates"], choice)

    def test_notDuplicates(self) -> None:
        for text in ("", "KEEP", "keep ", "replace", "overwrite,keep"):
            self.assertRefused(
                f"--duplicates {text!r} is none of overwrite, keep, reject, rename", f"--duplicates={text}", "104"
            )


class FaultTests(OptionsTestCase):
    """``--fault``, ``--abort-during`` and ``--abort-after``; how faults are written is in ``test_faults_texts.py``."""

    def test_faults(self) -> None:
        """They are kept in their order, for the first one that applies is the one that happens."""
        options = self.parse(
            "--fault=3:status=0xA700", "--abort-after", "104", "--fault", "all:delay=2", "--abort-during"
        )
        self.assertEqual(
            options["faults"], [parseFault("3:status=0xA700"), ABORT_AFTER, parseFault("all:delay=2"), ABORT_DURING]
        )

    def test_notFaults(self) -> None:
        """The sentence is that of the fault."""
        for text in ("", "abort", "all:explode", "all:status=0", "0:abort", "rate=2:drop", "all:delay=-1"):
            with self.assertRaises(ValueError) as context:
                parseFault(text)
            sentence = str(context.exception)
            self.assertIn(repr(text), sentence)
            self.assertNotIn("\n", sentence)
            self.assertRefused(sentence, f"--fault={text}", "104")

    def test_flags(self) -> None:
        for name in ("abort-during", "abort-after"):
            self.assertRefused(f"option --{name} must not have an argument", f"--{name}=1", "104")


class ValueTests(OptionsTestCase):
    """Values in general."""

    def test_valuesMissing(self) -> None:
        """An option that needs a value says so."""
        for name in ("accept-calling-aet", "accept-from", "duplicates", "max-object-size", "grace-period", "fault"):
            self.assertRefused(f"option --{name} requires argument", "104", f"--{name}")
