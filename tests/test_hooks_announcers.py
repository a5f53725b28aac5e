"""Tests of `txdicom.storescp.hooks.announcers`: several announcers, stopped together."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.hooking import RecordingPlugin, waiting
from tests.test_hooks_announcer import ENDED, STORED, AnnouncerTestCase
from txdicom.storescp.hooks.announcers import Announcers


class AnnouncersTests(AnnouncerTestCase):
    """`Announcers`."""

    def test_stopsAll(self) -> None:
        """Each ends its studies, and all are waited for at once."""
        plugins = [RecordingPlugin(), RecordingPlugin()]
        announcers = [self.make(plugin) for plugin in plugins]
        for announcer in announcers:
            self.store(announcer, "/a")
        stopping = Deferred.fromCoroutine(Announcers(announcers).stop(5.0))
        self.successResultOf(stopping)
        self.assertEqual([plugin.told for plugin in plugins], [[STORED, ENDED]] * 2)

    def test_givesUp(self) -> None:
        """One that does not come to its end takes no longer than it is given, or than it takes to abandon all."""
        for hurry in (False, True):
            announcers = [self.make(RecordingPlugin(*waiting(2))), self.make(RecordingPlugin())]
            self.store(announcers[0], "/a")
            together = Announcers(announcers)
            stopping = Deferred.fromCoroutine(together.stop(5.0))
            self.assertNoResult(stopping)
            if hurry:
                together.abandon()
            else:
                self.clock.advance(5.0)
            self.successResultOf(stopping)
