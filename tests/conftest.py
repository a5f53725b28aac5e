"""What pytest needs to run trial's test cases."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def workingDirectory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`TestCase.mktemp` makes its directories below the current one: let that be a temporary one."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("trial"))
    yield
    os.chdir(before)
