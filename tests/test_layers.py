"""
Tests for what may import what: the layers of txdicom, looked at in its sources and in fresh interpreters.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

import txdicom

PACKAGE = Path(txdicom.__file__).parent
ROOT = PACKAGE.parent
PLUGIN = ROOT / "twisted" / "plugins" / "txdicom_storescp.py"

#: From the bottom up; arrows point down, or stay within a layer.
LAYERS = ("base", "upperlayer", "dimse", "tls", "services", "storage", "requestor", "storescp", "cli", "__main__")
BASE = ("__init__", "configuration", "errors", "interfaces", "soon", "uids")
#: What is public for tests stands beside the layers: it may use what an application would.
TESTING_MAY_IMPORT = ("base", "upperlayer", "dimse", "services")

#: Where bytes become values: no network framework, no data set library.
PURE = {
    *(
        f"txdicom.upperlayer.{path.stem}"
        for path in PACKAGE.glob("upperlayer/*.py")
        if path.stem not in ("actions", "protocol", "transport")
    ),
    *(f"txdicom.dimse.{name}" for name in ("status", "commands", "commandsets", "elements", "messages")),
}
#: The modules that may know the global reactor: the program, and the documented fallbacks.
REACTOR_USERS = {"txdicom.dimse.acceptor", "txdicom.requestor.connecting", "txdicom.storescp.tap"}
DEPENDENCIES = {"pydicom", "twisted", "zope"}
#: What only these may import, as it need not be installed.
OPTIONAL = {"cryptography", "OpenSSL", "service_identity"}
OPTIONAL_USERS = tuple(
    f"txdicom.tls.{name}" for name in ("binding", "connection", "context", "faults", "naming", "requesting")
)
#: Likewise, by the one module that is named.
DECORATION = {"tqdm": "txdicom.cli.reporting"}


class Import(NamedTuple):
    """One import statement's target, and whether it is there for type checkers only."""

    target: str
    typingOnly: bool


def modules() -> dict[str, Path]:
    """Return the path of every module of the package, by its name; a package's own is called ``__init__``."""
    return {
        ".".join(("txdicom", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in PACKAGE.rglob("*.py")
    }


def importsOf(source: str) -> Iterator[Import]:
    """Find every import in a source, wherever it stands; of ``from a import b`` both `a` and `a.b` are targets."""
    tree = ast.parse(source)
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # A relative import keeps its dots and thus matches no layer.
            start = "." * node.level + (node.module or "")
            targets = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        else:
            continue
        for target in targets:
            yield Import(target, id(node) in guarded)


def layerOf(module: str) -> str:
    """Return the layer of a module of txdicom, or of a name in one."""
    part = module.split(".")[1] if "." in module else "__init__"
    return "base" if part in BASE else part


def isIn(target: str, package: str) -> bool:
    """Say whether a dotted name is a package, or in it."""
    return target == package or target.startswith(f"{package}.")


def run(statements: str) -> set[str]:
    """Run statements in a fresh interpreter and return the modules that it has loaded then."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    code = f"{start}\n{statements}\nimport json; print(json.dumps(list(sys.modules)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return set(json.loads(done.stdout))


class ImportsTests(SynchronousTestCase):
    """What the sources say."""

    def setUp(self) -> None:
        self.imports = {name: set(importsOf(path.read_text("utf-8"))) for name, path in modules().items()}

    def internal(self) -> Iterator[tuple[str, str, bool]]:
        """Yield module, target and whether it is for typing only, of all imports of txdicom's own."""
        for module, found in self.imports.items():
            for target, typingOnly in found:
                if isIn(target, "txdicom") and target != "txdicom":
                    yield module, target, typingOnly

    def test_walk(self) -> None:
        """The walk itself finds imports wherever they are."""
        source = """
import a.b
from c import d
if TYPE_CHECKING:
    from e import f
def function():
    from twisted.internet import reactor
    from . import g
"""
        self.assertEqual(
            set(importsOf(source)),
            {
                *(Import(name, False) for name in ("a.b", "c", "c.d", "twisted.internet", "twisted.internet.reactor")),
                *(Import(name, True) for name in ("e", "e.f")),
                *(Import(name, False) for name in (".", "..g")),
            },
        )

    def test_everyModuleHasALayer(self) -> None:
        """A new package has to be given its place here."""
        self.assertEqual({layerOf(module) for module in self.imports}, {*LAYERS, "testing"})
        for module in PURE:
            self.assertIn(module, self.imports)

    def test_arrowsPointDown(self) -> None:
        """No module imports from a layer above its own, not even for type checkers; `interfaces` may do just that."""
        wrong = [
            (module, target)
            for module, target, typingOnly in self.internal()
            if layerOf(module) in LAYERS
            and layerOf(target) in LAYERS
            and LAYERS.index(layerOf(target)) > LAYERS.index(layerOf(module))
            and not (module == "txdicom.interfaces" and typingOnly)
        ]
        self.assertEqual(wrong, [])

    def test_theBottomStandsAlone(self) -> None:
        """`errors` and `uids` import nothing of txdicom."""
        bottom = ("txdicom.errors", "txdicom.uids", "txdicom.__init__")
        self.assertEqual([arrow for arrow in self.internal() if arrow[0] in bottom], [])

    def test_testing(self) -> None:
        """Nothing imports `testing`, and `testing` nothing of the storage and the application."""
        users = {layerOf(module) for module, target, _ in self.internal() if isIn(target, "txdicom.testing")}
        self.assertEqual(users, {"testing"})
        layers = {layerOf(target) for module, target, _ in self.internal() if layerOf(module) == "testing"}
        self.assertLessEqual(layers, {*TESTING_MAY_IMPORT, "testing"})

    def test_absolute(self) -> None:
        """Every import names its target in full, and nothing but the declared dependencies is needed."""
        for module, found in self.imports.items():
            known = DEPENDENCIES | {"txdicom"} | (OPTIONAL if module in OPTIONAL_USERS else set())
            for target, _ in found:
                top = target.split(".")[0]
                self.assertTrue(
                    top in sys.stdlib_module_names or top in known or DECORATION.get(top) == module, (module, target)
                )

    def test_reactor(self) -> None:
        """Only the program itself, and the factories that were given no clock, take the global reactor."""
        users = {
            module
            for module, found in self.imports.items()
            if any(isIn(target, "twisted.internet.reactor") for target, _ in found)
        }
        self.assertEqual(users, REACTOR_USERS)

    def test_pureModules(self) -> None:
        """What turns bytes into values knows neither Twisted nor pydicom, and imports nothing that does."""
        for module in PURE:
            seen, waiting = set(), {module}
            while waiting:
                current = waiting.pop()
                seen.add(current)
                for target, typingOnly in self.imports.get(current, ()):
                    self.assertFalse(
                        not typingOnly and any(isIn(target, package) for package in DEPENDENCIES),
                        f"{module} imports {target} by way of {current}",
                    )
                    if not typingOnly and target not in seen:
                        waiting.add(target)


class FreshInterpreterTests(SynchronousTestCase):
    """What is really loaded."""

    def assertNotLoaded(self, loaded: set[str], *packages: str) -> None:
        """Assert that nothing of these packages has been loaded."""
        found = sorted(name for name in loaded if any(isIn(name, package) for package in packages))
        self.assertEqual(found, [])

    def test_pureModules(self) -> None:
        """The pure modules load nothing but the standard library and each other."""
        names = sorted(module.removesuffix(".__init__") for module in PURE)
        loaded = run("\n".join(f"import {name}" for name in names))
        self.assertLessEqual(set(names), loaded)
        self.assertNotLoaded(loaded, *DEPENDENCIES)

    def test_program(self) -> None:
        """Starting the receiver loads neither pydicom, which takes long, nor a reactor, which is twistd's to choose."""
        loaded = run("import txdicom.storescp.tap")
        self.assertIn("txdicom.storescp.service", loaded)
        self.assertNotLoaded(loaded, "pydicom", "numpy", "twisted.internet.reactor", "txdicom.testing", *OPTIONAL_USERS)

    def test_plugin(self) -> None:
        """Twistd looks at the plugins of all it may run: ours must not cost it the library."""
        loaded = run(
            f"import runpy; found = runpy.run_path({str(PLUGIN)!r}); assert found['storescp'].tapname == 'storescp'"
        )
        self.assertIn("twisted.application.service", loaded)
        self.assertNotLoaded(loaded, "txdicom", "pydicom", "twisted.internet.reactor")
