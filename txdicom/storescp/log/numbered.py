"""Log lines that name their association: `NumberedLog`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger, LogLevel

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["NumberedLog"]


class NumberedLog:
    """
    Logs about one association.

    Its number stands where Twisted's logs have the source of a line, ``[storescp,12]``, so that the words of the line
    stay what scripts look for.

    :param fields: what a line of JSON has besides.
    """

    def __init__(self, log: Logger, association: Association, fields: Mapping[str, Any] | None = None) -> None:
        self._log = log
        self._context = {
            "log_system": f"{log.namespace},{association.number}",
            "fields": {"association": association.number, **(fields or {})},
        }

    def info(self, text: str, /, **values: Any) -> None:
        """Log what may be read by people who must not know of patients."""
        self._log.emit(LogLevel.info, text, **self._context, **values)

    def debug(self, text: str, /, **values: Any) -> None:
        """Log what may have patients' data in it."""
        self._log.emit(LogLevel.debug, text, **self._context, **values)
