"""The pages of the package: what Sphinx reads out of docstrings, and how."""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book.tools.contents import chapters_in_order
from book.tools.layers import modules_by_page


class ApiModules(SphinxDirective):
    """Document the modules of one page, each under a heading that the table of contents can show."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        root = Path(self.env.app.srcdir)
        chapters = {
            f"minattn.{module}": chapter
            for chapter in chapters_in_order(root).values()
            for module in chapter.modules
        }
        for module in modules_by_page(root)[self.arguments[0]]:
            lines += [f"## `{module}`", ""]
            if chapter := chapters.get(module):
                address = f"../notebooks/{chapter.stem}.ipynb"
                lines += [f"Chapter [{chapter.heading}]({address})", ""]
            lines += ["```{eval-rst}"]
            lines += [f".. automodule:: {module}", "   :members:", "```", ""]
        source = StringList(lines, self.get_source_info()[0])
        holder = nodes.Element()
        self.state.nested_parse(source, self.content_offset, holder, match_titles=True)
        return holder.children


def keep_colons(
    app: Sphinx, what: str, name: str, member: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading the words before a colon as the type of a variable."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment; an empty line is not enough


def skip_noise(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out tables, which would be printed whole, and Python's own words on a named field."""
    doc = getattr(member, "__doc__", None) or ""
    return True if isinstance(member, dict | list) or doc.startswith("Alias for field") else None
