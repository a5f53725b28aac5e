"""
Tests of `txdicom.storescp.hooks.plugins`: plugins by name, and clear words about those that cannot be used.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.hooking import RecordingPlugin
from txdicom.interfaces import IReceiverPlugin
from txdicom.storescp.hooks import plugins
from txdicom.storescp.hooks.plugins import loadPlugin

#: What the tests load.
made = RecordingPlugin()
nothing = object()
HERE = "tests.test_hooks_plugins"


@implementer(IReceiverPlugin)
class Failing(RecordingPlugin):
    """A class that cannot be made."""

    def __init__(self) -> None:
        raise ZeroDivisionError("of all things")


class Named(RecordingPlugin):
    """One as it would be below ``twisted.plugins``."""

    name = "archive"


class LoadPluginTests(SynchronousTestCase):
    """By dotted name, and by that of a plugin of Twisted's."""

    def test_object(self) -> None:
        self.assertIs(loadPlugin(f"{HERE}.made"), made)
        self.assertTrue(verifyObject(IReceiverPlugin, made))

    def test_class(self) -> None:
        self.assertIsInstance(loadPlugin("tests.hooking.RecordingPlugin"), RecordingPlugin)

    def test_twistedPlugin(self) -> None:
        """Of those that Twisted finds, the one with that name."""
        others = [RecordingPlugin(), Named()]
        self.patch(plugins, "getPlugins", lambda interface: iter(others) if interface is IReceiverPlugin else ())
        self.assertIs(loadPlugin("archive"), others[1])

    def test_refused(self) -> None:
        for name, why in {
            f"{HERE}.nothing": f"{HERE}.nothing is no plugin of a receiver: it does not provide IReceiverPlugin",
            f"{HERE}.missing": "cannot be loaded: AttributeError",
            "no.such.module": "plugin no.such.module cannot be loaded: ",
            "..": "cannot be loaded: InvalidName",
            f"{HERE}.Failing": f"plugin {HERE}.Failing cannot be made: ZeroDivisionError: of all things",
            "nosuch": "there is no plugin nosuch below twisted.plugins",
        }.items():
            self.assertIn(why, str(self.assertRaises(ValueError, loadPlugin, name)))
