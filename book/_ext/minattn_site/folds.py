"""The menu that opens or closes all folds of a page; minattn.js does it."""

from typing import Any

from sphinx.application import Sphinx

ICON = "fas fa-angles-down"
WORDS = {"code": "Open all code and checks", "answers": "Open all hints and solutions"}


def offer_folds(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the menu into the header of a page that has folds."""
    if "<details" in context.get("body", ""):
        kind = {"type": "javascript", "icon": ICON}
        buttons = [
            kind | {"javascript": f"toggleFolds('{name}')", "text": text, "label": f"folds-{name}"}
            for name, text in WORDS.items()
        ]
        menu = {"type": "group", "icon": ICON, "tooltip": "Open or close all folds"}
        context["header_buttons"].append(menu | {"buttons": buttons, "label": "folds-buttons"})
