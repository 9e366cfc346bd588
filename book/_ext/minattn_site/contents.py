"""The list of chapters beside each page."""

from typing import Any

from sphinx.application import Sphinx


def mark_this_page(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Say which entry is the page that is open, and not by its colour alone."""
    make_list = context.get("generate_toctree_html")
    if make_list is None:
        return

    def marked(*arguments: Any, **options: Any) -> Any:
        entries = make_list(*arguments, **options)
        for here in entries.select('a.current[href="#"]'):
            here["aria-current"] = "page"
        return entries

    context["generate_toctree_html"] = marked
