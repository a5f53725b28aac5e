"""What pytest needs to run trial's test cases."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

#: Tests that start processes, and some that send so much that to measure them would take a minute more and show nothing
#: else. What all other tests cover, those in memory, has to be enough: see ``.ci/coverage``.
NOT_MEASURED = (
    "interop/*",
    "*program*",
    "test_benchmarks*",
    "test_docs.py",
    "test_fuzz.py",
    "test_killed.py",
    "test_soak.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have `-m no_cover` select what is not measured, and ``-m 'not no_cover'`` all else."""
    for item in items:
        if any(item.path.match(f"tests/{pattern}") for pattern in NOT_MEASURED):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True, scope="session")
def workingDirectory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`TestCase.mktemp` makes its directories below the current one: let that be a temporary one."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("trial"))
    yield
    os.chdir(before)
