"""Places smaller than a section that can be linked to: claims (claims.py) and displayed formulas."""

import hashlib
import re
from collections import Counter
from typing import Any

from sphinx.application import Sphinx

FORMULA = re.compile(
    r'<div class="math notranslate nohighlight"(?: id="(?P<id>[^"]+)")?>(?P<inside>.*?)</div>',
    re.DOTALL,
)


def place_link(anchor: str, what: str) -> str:
    """The sign beside a place, which minattn.css shows when one comes near."""
    return f'<a class="place-link" href="#{anchor}" aria-label="Link to this {what}">#</a>'


def link_formulas(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Give every displayed formula an address, made of what it says, so that another changes none."""
    seen: Counter[str] = Counter()

    def linked(match: re.Match[str]) -> str:
        anchor = match["id"]
        if anchor is None:
            said = "".join(match["inside"].split())
            anchor = f"formula-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
            seen[anchor] += 1
            if seen[anchor] > 1:
                anchor += f"-{seen[anchor]}"
        link = place_link(anchor, "formula")
        return (
            f'<div class="math notranslate nohighlight" id="{anchor}">{match["inside"]}{link}</div>'
        )

    context["body"] = FORMULA.sub(linked, context.get("body", ""))
