"""DCMTK's own configuration file, and several AE titles in one file, with DCMTK's storescu."""

from __future__ import annotations

from pathlib import Path

from pydicom.data import get_testdata_file
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.interop.peers import requireProgram, run
from tests.interop.receiver import Receiver

PROFILES = Path("/etc/dcmtk/storescp.cfg")


class ConfigurationTests(SynchronousTestCase):
    """Receivers that are told by a file what to do."""

    def start(self, *options: str) -> Receiver:
        """Start a receiver, which is stopped at the end."""
        receiver = Receiver(*options)
        self.addCleanup(receiver.stop)
        return receiver

    def send(self, receiver: Receiver, *options: str) -> int:
        """Send the CT with storescu, and return its exit status."""
        return run("storescu", *options, "localhost", receiver.port, _CT).status

    def test_defaultProfile(self) -> None:
        """What DCMTK's Default profile has is accepted in its order, and nothing else."""
        requireProgram("storescu")
        if not PROFILES.is_file():
            raise SkipTest(f"{PROFILES} of DCMTK is not there")
        receiver = self.start("--config-file", str(PROFILES), "Default", "-v", "+v")
        self.assertEqual(run("echoscu", "localhost", receiver.port).status, 0)
        self.assertEqual(self.send(receiver, "--propose-lossless"), 0)
        self.assertEqual(list(receiver.take()), [f"CT.{_INSTANCE}"])
        self.assertIn(
            "CT Image Storage (1.2.840.10008.5.1.4.1.1.2): acceptance, JPEG Lossless, Non-Hierarchical,"
            " First-Order Prediction",
            receiver.log,
        )

    def test_severalTitles(self) -> None:
        """Each title has its own directory and its own guests."""
        home = Path(self.mktemp()).absolute()
        research = home / "research"
        research.mkdir(parents=True)
        file = home / "receiver.toml"
        file.write_text(
            f"require-called-aet = true\n[ae.RESEARCH]\noutput-directory = '{research}'\n"
            "[ae.CLINIC]\naccept-calling-aet = ['CT1']\n"
        )
        receiver = self.start("--config", str(file))
        self.assertEqual(self.send(receiver, "-aec", "RESEARCH"), 0)
        self.assertEqual(([path.name for path in research.glob("CT*")], receiver.take()), ([f"CT.{_INSTANCE}"], {}))
        self.assertEqual(self.send(receiver, "-aec", "CLINIC", "-aet", "CT1"), 0)
        self.assertEqual(list(receiver.take()), [f"CT.{_INSTANCE}"])
        self.assertNotEqual(self.send(receiver, "-aec", "CLINIC", "-aet", "CT2"), 0)
        self.assertNotEqual(self.send(receiver, "-aec", "OTHER"), 0)
        self.assertEqual(receiver.take(), {})


_CT = str(get_testdata_file("CT_small.dcm"))
_INSTANCE = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
