"""Finding plugins by the names they are given on the command line: `loadPlugin`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny

from txdicom.interfaces import IReceiverPlugin

__all__ = ["loadPlugin"]


def loadPlugin(name: str) -> IReceiverPlugin:
    """
    Load a plugin.

    :param name: where it is in Python, ``package.module.object``: a plugin, or a class of them that is called without
        arguments; or, without a dot, what a plugin below ``twisted.plugins`` has as its `name`.
    :raises ValueError: there is none, or it does not work; the message is a sentence about it.
    """
    found = _named(name) if "." in name else _installed(name)
    if isinstance(found, type) and IReceiverPlugin.implementedBy(found):
        found = _made(found, name)
    if not IReceiverPlugin.providedBy(found):
        raise ValueError(f"{name} is no plugin of a receiver: it does not provide IReceiverPlugin")
    plugin: IReceiverPlugin = found
    return plugin


def _made(pluginClass: Callable[[], Any], name: str) -> Any:
    try:
        return pluginClass()
    except Exception as error:
        raise ValueError(f"plugin {name} cannot be made: {_told(error)}") from error


def _named(name: str) -> Any:
    try:
        return namedAny(name)
    except Exception as error:
        # An import runs the plugin's own code, which may fail in any way.
        raise ValueError(f"plugin {name} cannot be loaded: {_told(error)}") from error


def _installed(name: str) -> Any:
    for plugin in getPlugins(IReceiverPlugin):
        if getattr(plugin, "name", None) == name:
            return plugin
    raise ValueError(f"there is no plugin {name} below twisted.plugins")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
