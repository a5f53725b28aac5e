"""What an option is: a row of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.python import usage

from txdicom.storescp.options.kinds import Kind

__all__ = ["Group", "Option", "Refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    One option.

    :ivar name: the long name, without dashes.
    :ivar short: the other ways to write it, such as `-v`, `-aet` and `+xa`; those of a dash and one letter may stand
        together (`-vi`).
    :ivar takes: what its arguments are: none for a flag, two for ``--enable-tls key certificate``.
    :ivar key: where in `Options` the value is found; by itself the name. Options that share a key are alternatives, of
        which the last one given counts; or, where they are repeatable, they fill one list.
    :ivar constant: the value of a flag that is given.
    :ivar default: the value where it is not given, of a parameter as it would be written; by itself a flag is False,
        a parameter None and something repeatable an empty list. Of alternatives one has the default.
    :ivar repeatable: whether the value is a list to which each use adds.
    :ivar excludes: names of options that it cannot be given with.
    :ivar needs: names of options of which one has to be given with it; empty for no need.
    :ivar perTitle: whether an AE title of a configuration file may have a value of its own.
    :ivar answer: what to print when the option only asks for something and the program is to end.
    :ivar help: one sentence, for the usage text and the tables.
    :ivar manual: what the manual says instead, in reStructuredText; empty if there is no more to say.
    """

    name: str
    help: str
    short: tuple[str, ...] = ()
    takes: tuple[Kind, ...] = ()
    key: str = ""
    constant: Any = True
    default: Any = None
    repeatable: bool = False
    excludes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    perTitle: bool = False
    answer: Callable[[usage.Options], str] | None = None
    manual: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)

    @property
    def spelled(self) -> str:
        """The long name as it is written."""
        return f"--{self.name}"

    @property
    def syntax(self) -> list[str]:
        """All ways to write it, the long one last, each with its arguments."""
        arguments = "".join(f" {kind.placeholder}" for kind in self.takes)
        return [f"{name}{arguments}" for name in (*self.short, self.spelled)]

    @property
    def initial(self) -> Any:
        """The value where the option is not given."""
        if self.repeatable:
            return []
        if self.takes:
            return None if self.default is None else self.value([self.default])
        return False if self.default is None else self.default

    def value(self, texts: Sequence[str]) -> Any:
        """
        Check what was given, and return what it means: of several arguments, a tuple.

        :raises UsageError: it cannot be used; says why, in one sentence.
        """
        values = tuple(kind.parse(self.spelled, text) for kind, text in zip(self.takes, texts, strict=True))
        if not values:
            return self.constant
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True, slots=True)
class Refused:
    """
    An option of DCMTK's storescp that is not offered.

    :ivar name: the long name, without dashes.
    :ivar short: the other ways to write it.
    :ivar instead: why it is not there and what to do instead: the rest of a sentence.
    """

    name: str
    short: tuple[str, ...]
    instead: str


@dataclass(frozen=True, slots=True)
class Group:
    """
    The options below one heading.

    :ivar title: the heading.
    :ivar options: the options, in the order in which they are shown.
    :ivar check: looks at the values of all options together, and may complete them; raises UsageError.
    :ivar introduction: what the manual says before them, in reStructuredText.
    """

    title: str
    options: tuple[Option, ...]
    check: Callable[[dict[str, Any]], None] | None = None
    introduction: str = ""
