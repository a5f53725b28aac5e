"""Stores a directory of files with txdicom as a library, as a program of one's own would: storing.py PORT DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import react

from txdicom.requestor import connect


async def main(reactor: Any, port: str, directory: str) -> None:
    """Store all files; it raises what fails."""
    paths = sorted(Path(directory).iterdir())
    association = await connect(TCP4ClientEndpoint(reactor, "127.0.0.1", int(port)), send=paths)
    responses = await gatherResults([association.store(path) for path in paths], consumeErrors=True)
    await association.release()
    if any(response.status for response in responses):
        raise SystemExit("not everything has been stored")


if __name__ == "__main__":
    react(lambda reactor, *arguments: main(reactor, *arguments), sys.argv[1:])
