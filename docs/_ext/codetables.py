"""
Sphinx directives for what the documentation takes from the code: `code-table`, `code-comments`, `storescp-options`.
"""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

import measured
import migration
import tables
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata
from tables import optionReference

#: The tables of all modules, by the names by which `code-table` knows them.
TABLES = {**tables.TABLES, **migration.TABLES, **measured.TABLES}


class CodeTable(SphinxDirective):
    """Shows one of `TABLES`."""

    required_arguments = 1
    option_spec: ClassVar = {"class": directives.class_option}

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        if self.arguments[0] not in TABLES:
            raise self.error(f"there is no table {self.arguments[0]!r}, but {', '.join(TABLES)}")
        header, rows = TABLES[self.arguments[0]]()
        group = nodes.tgroup(cols=len(header))
        group += [nodes.colspec(colwidth=max(len(row[column]) for row in rows)) for column in range(len(header))]
        group += nodes.thead("", _row(header))
        group += nodes.tbody("", *map(_row, rows))
        return [nodes.table("", group, classes=["code-table", *self.options.get("class", [])])]


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


class CodeComments(SphinxDirective):
    """Lists the members of an enumeration with the ``#:`` comments that stand above them: module, then class."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        moduleName, className = self.arguments
        comments = ModuleAnalyzer.for_module(moduleName).find_attr_docs()
        items = []
        for member in getattr(import_module(moduleName), className):
            lines = comments.get((className, member.name))
            if not lines:
                raise self.error(f"{className}.{member.name} has no comment")
            definition = nodes.definition("", nodes.paragraph(text=" ".join(lines).strip()))
            items.append(
                nodes.definition_list_item("", nodes.term("", "", nodes.literal(text=member.name)), definition)
            )
        return [nodes.definition_list("", *items, classes=["code-comments"])]


class StorescpOptions(SphinxDirective):
    """Describes the options of storescp, a section for each group."""

    def run(self) -> list[nodes.Node]:
        """Build the sections."""
        return self.parse_text_to_nodes(optionReference(), allow_section_headings=True)


def plainReferences(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Leave of references only their text in a manual page, where there is nothing to follow them with."""
    if app.builder.name == "man":
        for reference in list(doctree.findall(nodes.reference)):
            reference.replace_self(reference.children)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Make the directives known."""
    app.add_directive("code-table", CodeTable)
    app.add_directive("code-comments", CodeComments)
    app.add_directive("storescp-options", StorescpOptions)
    app.connect("doctree-resolved", plainReferences)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
