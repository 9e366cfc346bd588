"""Small repairs of what Sphinx writes into the body of a page."""

import re
from typing import Any

from sphinx.application import Sphinx

# Parts of code that minattn.css leaves in the colour of ink.
PLAIN_SPAN = re.compile(r'<span class="(?:bp|fm|m[bfhi]|n|n[abnv]|o|p|v[mi]|w)">([^<]*)</span>')
# Between two tags, not inside of one.
RANGE = re.compile(r"\(\d[\d.,]*–\d[\d.,]*\)(?=[^<>]*<)")
SIGNATURE_LINES = re.compile(r"<dl>\s*(?:<dd>.*?</dd>\s*)+</dl>", re.DOTALL)


def drop_plain_spans(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave out the marks of code that are not coloured: most of the elements of a chapter."""
    context["body"] = PLAIN_SPAN.sub(r"\1", context.get("body", ""))


def keep_ranges(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Mark the range behind a median, which a browser would break after its dash."""
    context["body"] = RANGE.sub(r'<span class="range">\g<0></span>', context.get("body", ""))


def mend_lists(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Mend two lists that a screen reader cannot read as such, and the names of folds.

    References get a role that ARIA has withdrawn, and a signature of several lines is written as
    a list of definitions without terms. All folds get one name, which hides what they are called.
    """

    def lines(match: re.Match[str]) -> str:
        return match[0].replace("dl>", "div>").replace("<dd>", "<div>").replace("</dd>", "</div>")

    body = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    context["body"] = SIGNATURE_LINES.sub(lines, body)
