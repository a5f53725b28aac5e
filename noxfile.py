"""
What there is to check, each in an environment of its own: ``nox``, or ``nox -s tests-3.12 -- tests/test_docs.py``.

`.ci/run` does the same in one environment, and more.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["tests", "coverage", "typing", "lint", "docs"]
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Run the tests; those with peers that are not installed are skipped."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure what the tests in memory cover, which has to be enough."""
    session.install("-e", ".[test]")
    session.run("bash", ".ci/coverage", "python", external=True)


@nox.session
def interop(session: nox.Session) -> None:
    """Run the tests with other people's programs, all of which have to be installed."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "tests/interop", *session.posargs, env={"CI_REQUIRE_PEERS": "1"})


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: those of the package, and what its users get to see of them."""
    session.install("-e", ".[dev]")
    session.run("mypy", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, and the manual page."""
    session.install("-e", ".[docs]")
    for builder in ("html", "man"):
        session.run("sphinx-build", "-W", "--keep-going", "-b", builder, "docs", f"docs/_build/{builder}")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure a little of everything, or what is asked for: ``nox -s bench -- run peers``."""
    session.install("-e", ".")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["smoke"]))
