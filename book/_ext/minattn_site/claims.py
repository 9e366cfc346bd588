"""The boxes of claims: each has an address, and shows the value that was measured, which the output does not print."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from book.tools.claims_page import anchors, claims_of
from minattn.claims import in_words

from .places import place_link

# A box, or a line of closed checks; what stands between the sentence and the end is replaced.
OPEN = r'<(?P<tag>li|div class="claim")>(?P<mark><span class="claim-mark">✓</span> )?'
BAR = r'(?: <span class="claim-bar">\([^<]*\)</span>)?(?=</)'


def show_measured_values(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the value that was measured, and a sign that links to it, behind every claim.

    The notebook keeps the value beside the output.
    """
    notebook = Path(app.srcdir) / f"{pagename}.ipynb"
    if not notebook.exists():
        return
    body, done = context.get("body", ""), 0
    there = claims_of(json.loads(notebook.read_text("utf-8")))
    for claim, anchor in zip(there, anchors(there), strict=True):
        sentence = escape(claim["claim"])
        found = re.compile(OPEN + re.escape(sentence) + BAR).search(body, done)
        if found is None:
            raise ExtensionError(f"{pagename} must show every claim, got none of: {sentence}")
        words = in_words(claim, with_value=True)
        bar = f' <span class="claim-bar">({escape(words)})</span>' if words else ""
        shown = (
            f'<{found["tag"]} id="{anchor}">{found["mark"] or ""}{sentence}{bar}'
            f"{place_link(anchor, 'claim')}"
        )
        body = body[: found.start()] + shown + body[found.end() :]
        done = found.start() + len(shown)
    context["body"] = body
