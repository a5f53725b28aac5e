"""
Ends associations that no longer move: `Watchdog`.

Theory of operation. One timer an association, and nothing else, watches it: at every tick it looks at how many bytes
have come since the last. A peer that owes us the rest of a message or of a PDU has to keep up a minimum, so neither
silence nor a drip of single bytes keeps an association. Between messages, and before it answers what we ask, a peer
may be silent for as long as the configuration allows. While it waits for us, and not we for it, it is left in peace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txdicom.configuration import Configuration
from txdicom.errors import AssociationTimeout

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["Watchdog"]

#: Ticks in the shorter of the times: what is due after a time ends at most a quarter of it later.
_TICKS = 8
#: What a peer may be waited for, as the reason of the end has it.
_NOTHING = "nothing"
_REST = "the rest of a message has not come"
_MESSAGE = "no message has come"
_RESPONSE = "no response has come"


class Watchdog:
    """
    Watches one established association.

    :param configuration: `socketTimeout`, `minimumProgress`, `responseTimeout` and `dimseTimeout` count.
    """

    __slots__ = (
        "_association",
        "_clock",
        "_configuration",
        "_interval",
        "_moved",
        "_received",
        "_timer",
        "_waited",
        "_what",
    )

    def __init__(self, association: Association, configuration: Configuration, clock: IReactorTime) -> None:
        self._association = association
        self._configuration = configuration
        self._clock = clock
        # What is waited for, for how long it has been seen at ticks, and how many bytes have come in that time.
        self._what = _NOTHING
        self._waited = 0.0
        self._moved = 0
        self._received = 0
        times = [time for time in (configuration.socketTimeout, configuration.dimseTimeout) if time]
        self._interval = min(times, default=0.0) / _TICKS
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Watch from now on."""
        if self._interval:
            self._tick()

    def expectResponse(self) -> None:
        """We have asked the peer something, which not every association does."""
        interval = self._configuration.responseTimeout / _TICKS
        if interval and not self._interval:
            self._interval = interval
            self._tick()

    def stop(self) -> None:
        """Watch no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        self._timer = self._clock.callLater(self._interval, self._tick)
        received = self._association.protocol.bytesReceived
        self._moved += received - self._received
        self._received = received
        what, time, enough = self._expected()
        if what is not self._what or self._moved >= enough:
            # Counted from here and not from the tick before, so that nobody has less time than the configuration says.
            self._what = what
            self._waited = 0.0
            self._moved = 0
            return
        self._waited += self._interval
        if 0 < time <= self._waited:
            self._association.abort(AssociationTimeout(f"{what} for {self._waited:g} s"))

    def _expected(self) -> tuple[str, float, int]:
        """Tell what is waited for, how long that may take, and how many bytes begin that time anew."""
        if self._association.weAreDue:
            return _NOTHING, 0.0, 0
        if self._association.peerIsDue:
            return _REST, self._configuration.socketTimeout, self._configuration.minimumProgress
        if self._association.responseIsDue:
            return _RESPONSE, self._configuration.responseTimeout, 1
        return _MESSAGE, self._configuration.dimseTimeout, 1
