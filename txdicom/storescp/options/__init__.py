"""
The command line of storescp: parsed and checked here, acted on in `txdicom.storescp.assembly`.

`option` says what an option is and `kinds` what its values are. Each module of `groups` has the options of one heading,
and `table` lists the groups. All else is made from that table: how arguments are read (`spelling`), the usage text and
the completion of shells (`texts`), what twistd gets (`commandline`), the manual, and many of the tests.
"""

from txdicom.storescp.options.commandline import Options

__all__ = ["Options"]
