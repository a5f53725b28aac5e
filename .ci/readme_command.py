"""Print one of the commands of README.md as it is written there: python3 .ci/readme_command.py receive|test"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def readmeCommand(name: str) -> str:
    """
    Find the shell block that follows ``<!-- command: name -->``.

    :raises LookupError: there is not exactly one.
    """
    found = re.findall(rf"^<!-- command: {re.escape(name)} -->\n```sh\n(.*?)^```$", README.read_text(), re.M | re.S)
    if len(found) != 1:
        raise LookupError(f"README.md has {len(found)} commands called {name!r}")
    return str(found[0])


if __name__ == "__main__":
    sys.stdout.write(readmeCommand(sys.argv[1]))
