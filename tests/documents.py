"""
What the tests of the documentation share: its pages taken apart, and what is in the program that they speak of.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LISTINGS = DOCS / "listings"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.rst"))]


def loadModule(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def modulesOfTheProgram() -> list[Path]:
    """Find the files of txdicom that the receiver imports, directly or not."""
    found: set[Path] = set()
    waiting = ["txdicom.storescp.tap"]
    while waiting:
        name = ROOT.joinpath(*waiting.pop().split("."))
        path = name / "__init__.py" if name.is_dir() else name.with_suffix(".py")
        if path.is_file() and path not in found:
            found.add(path)
            waiting += [node.module or "" for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
    return sorted(found)


def parse(path: Path) -> ast.Module:
    """Parse a file of Python."""
    return ast.parse(path.read_text())


PROGRAM = modulesOfTheProgram()


def namesUsed(enumeration: str) -> set[str]:
    """Find which members of an enumeration the program uses by name, but for where it is defined."""
    return {
        node.attr
        for path in PROGRAM
        if path.name not in ("errors.py", "status.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enumeration
    }


def blocks(page: Path, language: str = r"\w+") -> list[tuple[str, str]]:
    """Find the code blocks of a page: language and text of each."""
    text = page.read_text()
    if page.suffix == ".md":
        return re.findall(rf"^```({language})\n(.*?)^```$", text, re.M | re.S)
    pattern = rf"^( *)\.\. code-block:: ({language})\n\n((?:(?:\1 {{3}}.*)?\n)+)"
    return [(found, textwrap.dedent(body).strip("\n") + "\n") for _, found, body in re.findall(pattern, text, re.M)]


def tableAfter(page: str, before: str) -> list[list[str]]:
    """Find the list table that comes first after a text: the cells of each row but the header, each on one line."""
    _, _, text = (DOCS / page).read_text().partition(before)
    table = re.search(r"^\.\. list-table::\n(?:   .*\n|\n)+", text, re.M)
    assert table is not None, f"no table after {before!r}"
    rows = re.split(r"^   \* - ", table[0], flags=re.M)[2:]
    return [[re.sub(r"\s*\n\s*", " ", cell.strip()) for cell in re.split(r"^     - ", row, flags=re.M)] for row in rows]


def firstCells(page: str, before: str) -> list[list[str]]:
    """Find the literals in each row of the list table that comes first after a text."""
    found = [[re.fullmatch("`([^`]+)`", cell) for cell in row] for row in tableAfter(page, before)]
    return [[literal[1] for literal in row if literal] for row in found]


def firstColumn(page: str, before: str) -> list[str]:
    """Find the literal that each row of a list table begins with."""
    return [row[0] for row in firstCells(page, before)]
