"""Options about what is done with what was received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.python import usage

from txdicom.storescp.hooks.commandline import CommandLine
from txdicom.storescp.options.kinds import Seconds, Text, Whole
from txdicom.storescp.options.option import Group, Option

__all__ = ["HOOKS"]

_COMMANDS = ("exec-on-reception", "exec-on-eostudy")


@dataclass(frozen=True, slots=True)
class _Command:
    """
    A command that is run without a shell.

    :ivar placeholders: those that it may have.
    """

    placeholders: str
    placeholder: str = "command"

    def parse(self, name: str, text: str) -> CommandLine:
        """Return the program and its arguments."""
        try:
            return CommandLine.parse(text, self.placeholders)
        except ValueError as error:
            raise usage.UsageError(f"{name} {text!r} cannot be used: {error}") from error


def _check(options: dict[str, Any]) -> None:
    for name in _COMMANDS:
        command = options[name]
        if options["ignore"] and command is not None and command.mentions("pf"):
            raise usage.UsageError(f"--{name} has #p or #f, but there are no files with --ignore")


HOOKS = Group(
    "What is done with it",
    (
        Option(
            name="exec-on-reception",
            perTitle=True,
            short=("-xcr",),
            takes=(_Command("pfacr"),),
            help="Run a command for each instance that was stored: #p directory, #f file, #a and #c titles, #r peer.",
            manual="""
Run this command for each instance, when its sender has been told that it is stored: see `Commands and plugins`_.
""",
        ),
        Option(
            name="exec-on-eostudy",
            perTitle=True,
            short=("-xcs",),
            takes=(_Command("pacr"),),
            help="Run a command for each study that has ended: #p directory, #a and #c titles, #r peer.",
            manual="Run this command for each study that has ended: see `Commands and plugins`_.",
        ),
        Option(
            name="plugin",
            perTitle=True,
            key="plugins",
            repeatable=True,
            takes=(Text("object"),),
            help="Tell a plugin of instances and studies, such as package.module.object; may be repeated.",
            manual="""
Tell a plugin, an object in Python that provides `txdicom.interfaces.IReceiverPlugin`, of each instance that was stored
and each study that has ended. It is found by its dotted name, such as `package.module.object`, which may also be that
of a class; or, written without a dot, as a plugin of Twisted's below `twisted.plugins` with that `name`. May be
repeated. See :doc:`plugins`.
""",
        ),
        Option(
            name="exec-sync",
            perTitle=True,
            short=("-xs",),
            help="Have senders wait for commands and plugins, and refuse the instances that these fail for.",
            manual="""
Have the answer to each instance wait for the command of :option:`--exec-on-reception` and for the plugins. If one of
them fails the instance is withdrawn, and its sender gets a failure: see `Asking before the answer`_.
""",
        ),
        Option(
            name="exec-at-once",
            perTitle=True,
            takes=(Whole(1, 1000),),
            default="4",
            help="Handle at most n instances and studies at once by commands and plugins.",
            manual="""
How many instances and studies are told to commands and plugins at once, and so how many commands run at once: 1 to
1000, default 4. The others wait for their turn.
""",
        ),
        Option(
            name="exec-timeout",
            perTitle=True,
            takes=(Seconds(0.1),),
            default="300",
            help="Kill a command, and give a plugin up, that takes longer than n seconds.",
            manual="""
How long a command or a plugin may take for one instance or study, in seconds, 0.1 at least, default 300. Then the
command is killed with all processes that it has started, and the plugin's Deferred is cancelled.
""",
        ),
        Option(
            name="eostudy-timeout",
            perTitle=True,
            short=("-tos",),
            takes=(Seconds(),),
            default="60",
            help="Take a study for ended when nothing of it has come for n seconds.",
            manual="""
Take a study for ended when n seconds have passed since its last instance, on whatever association. Default 60. See
`When a study has ended`_.
""",
        ),
        Option(
            name="rename-on-eostudy",
            perTitle=True,
            short=("-rns",),
            excludes=("ignore",),
            help="Number the files of a study that has ended: CT000001, CT000002 and so on.",
            manual="""
When a study has ended, call its files by the first two letters of their prefix and a number of six digits: `CT000001`,
`CT000002`, `MR000003`. See `When a study has ended`_.
""",
        ),
    ),
    check=_check,
)
