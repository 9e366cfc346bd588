"""For browsers that keep nothing for a site: the theme's scripts ask what was kept, and fail where that is refused."""

from typing import Any

from sphinx.application import Sphinx

# What is kept in its place is there until the page is left.
STAND_IN = """<script>
    for (const name of ["localStorage", "sessionStorage"]) {
      try {
        window[name].getItem("mode");
      } catch {
        const kept = new Map();
        const value = { getItem: (key) => kept.get(key) ?? null, setItem: (key, what) => kept.set(key, `${what}`) };
        Object.defineProperty(window, name, { value });
      }
    }
    </script>"""


def stand_in(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put it before all scripts: the theme's first one stands in the head."""
    context["metatags"] = f"{context.get('metatags', '')}\n    {STAND_IN}"
