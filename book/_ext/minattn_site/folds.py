"""The menu that opens or closes all folds of a page; minattn.js does it."""

from typing import Any

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

# What each entry opens; minattn.js has the same names.
WORDS = {"code": "all code and checks", "answers": "all hints and solutions"}
FOLDS = {
    "code": ".cell:not(.tag_hide-cell) > details.hide, details.checks",
    "answers": ".tag_hide-cell > details.hide, details:not(.hide, .checks, .choice > *)",
}


def offer_folds(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the menu into the header of a page that has folds, with an entry for each kind that is there."""
    if "<details" not in context.get("body", ""):
        return
    body = BeautifulSoup(context["body"], "lxml")
    buttons = [
        {
            "type": "javascript",
            "javascript": f"toggleFolds('{kind}')",
            "text": f"Open {words}",
            "icon": "fas fa-angles-down",
            "label": f"folds-{kind}",
        }
        for kind, words in WORDS.items()
        if body.select_one(FOLDS[kind])
    ]
    if buttons:
        menu = {"type": "group", "tooltip": "Open or close all folds", "icon": "fas fa-angles-down"}
        context["header_buttons"].append(menu | {"buttons": buttons, "label": "folds-buttons"})
