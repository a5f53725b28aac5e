"""
docs/pynetdicom.rst shows the same tasks done with pynetdicom and with txdicom: both do them, each with the other.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.documents import DOCS, LISTINGS, ROOT, loadModule, tableAfter
from tests.interop.peers import requireModule
from tests.interop.test_requestor import CT, MR, PATIENCE, RequestorTestCase
from txdicom.configuration import Configuration

NAMES = ["Doe^Jane", "Roe^Richard"]
#: Does a task that needs a connection.
_ASK = """
import json, sys
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react
import withtxdicom

async def main(reactor, task, port, *arguments):
    endpoint = HostnameEndpoint(reactor, "127.0.0.1", int(port))
    print(json.dumps(await getattr(withtxdicom, task)(endpoint, *map(json.loads, arguments))))

react(main, sys.argv[1:])
"""
#: Does a task that waits for connections.
_SERVE = """
import json, sys
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
import withtxdicom

task, port, argument = sys.argv[1:]
getattr(withtxdicom, task)(TCP4ServerEndpoint(reactor, int(port), interface="127.0.0.1"), json.loads(argument))
reactor.run()
"""


class SideBySideTests(RequestorTestCase):
    def setUp(self) -> None:
        """Load the left side."""
        super().setUp()
        requireModule("pynetdicom")
        self.left: Any = loadModule(LISTINGS / "withpynetdicom.py")
        self.received = self.home / "received"
        self.received.mkdir()

    def ours(self, task: str, *arguments: object) -> Any:
        """Have a task done with txdicom."""
        done = subprocess.run(
            [sys.executable, "-c", _ASK, task, str(self.port), *map(json.dumps, arguments)],
            env={"PYTHONPATH": f"{ROOT}:{LISTINGS}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def theirs(self, task: str, *arguments: object) -> Any:
        """Have it done with pynetdicom."""
        return getattr(self.left, task)("127.0.0.1", self.port, *arguments)

    def serveOurs(self, task: str, argument: object) -> None:
        """Serve with txdicom."""
        code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(LISTINGS)!r}]\n{_SERVE}"
        self.start(sys.executable, "-c", code, task, self.port, json.dumps(argument))

    def serveTheirs(self, task: str, argument: object) -> None:
        """Serve with pynetdicom."""
        server = getattr(self.left, task)(self.port, argument)
        self.addCleanup(server.shutdown)

    def assertTasks(self, do: Any) -> None:
        """Assert that an echo and two instances get through, and are as they were."""
        self.assertEqual(do("echo"), 0x0000)
        self.assertEqual(do("send", [CT, MR]), [0x0000, 0x0000])
        self.assertEqual(len(list(self.received.glob("*.dcm"))), 2)
        for path in (CT, MR):
            sent = dcmread(path)
            self.assertEqual(dcmread(self.received / f"{sent.SOPInstanceUID}.dcm"), sent)

    def test_theirReceiver(self) -> None:
        self.serveTheirs("receive", str(self.received))
        self.assertTasks(self.ours)

    def test_ourReceiver(self) -> None:
        self.serveOurs("receive", str(self.received))
        self.assertTasks(self.theirs)

    def test_theirAnswers(self) -> None:
        self.serveTheirs("answer", NAMES)
        self.assertEqual(self.ours("find", "*"), NAMES)

    def test_ourAnswers(self) -> None:
        self.serveOurs("answer", NAMES)
        self.assertEqual(self.theirs("find", "*"), NAMES)

    def test_tasksAreShown(self) -> None:
        """Each function is on the page, and has its other side there."""
        page = (DOCS / "pynetdicom.rst").read_text()
        shown = re.findall(r"literalinclude:: listings/(\w+)\.py\n +:pyobject: (\w+)", page)
        for side in ("withpynetdicom", "withtxdicom"):
            names = re.findall(r"^(?:async )?(?:def|class) (\w+)", (LISTINGS / f"{side}.py").read_text(), re.M)
            self.assertEqual(sorted(name for listing, name in shown if listing == side), sorted(names))

    def test_names(self) -> None:
        """What the tables name is there: in pynetdicom on the left, in `Configuration` on the right."""
        pynetdicom: Any = requireModule("pynetdicom")
        entity = pynetdicom.AE()
        rows = tableAfter("pynetdicom.rst", "Bounds and times\n")
        self.assertGreater(len(rows), 5)
        for theirs, ours, *_ in rows:
            for name in re.findall(r"`AE\.(\w+)`", theirs):
                self.assertTrue(hasattr(entity, name), name)
            for name in re.findall(r"(?<!`)`(\w+)`(?!`)", ours):
                self.assertIn(name, Configuration.__dataclass_fields__)
        for name in re.findall(r"`evt\.(\w+)`", Path(DOCS / "pynetdicom.rst").read_text()):
            self.assertTrue(hasattr(pynetdicom.evt, name), name)
