"""The boxes of claims: a page shows the value that was measured, which the output does not print."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from book.tools.claims_page import claims_of
from minattn.claims import in_words

BAR = r' <span class="claim-bar">\([^<]*\)</span>'


def show_measured_values(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the value that was measured behind every claim; the notebook keeps it beside the output."""
    notebook = Path(app.srcdir) / f"{pagename}.ipynb"
    if not notebook.exists():
        return
    body, done = context.get("body", ""), 0
    for claim in claims_of(json.loads(notebook.read_text("utf-8"))):
        if not (words := in_words(claim, with_value=True)):
            continue
        sentence = escape(claim["claim"])
        found = re.compile(re.escape(sentence) + BAR).search(body, done)
        if found is None:
            raise ExtensionError(f"{pagename} must show every claim, got none of: {sentence}")
        shown = f'{sentence} <span class="claim-bar">({escape(words)})</span>'
        body = body[: found.start()] + shown + body[found.end() :]
        done = found.start() + len(shown)
    context["body"] = body
