"""The code of a chapter, as its source has it."""

import re

from book.tools import notebooks


def code_of(chapter):
    """All cells in one text, without what only IPython understands."""
    cells = notebooks.from_source(chapter).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    return re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", code)
