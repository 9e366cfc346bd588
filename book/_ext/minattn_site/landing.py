"""The first page: index.html leads to it, and every build writes it."""

from pathlib import Path

from sphinx.application import Sphinx

REDIRECT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={url}">
</head>
<body><main><h1>{title}</h1><p><a href="{url}">Open the book</a></p></main></body>
</html>
"""


def write_redirect(app: Sphinx) -> None:
    """Send index.html to the landing page; the default has neither title nor language."""
    page = REDIRECT.format(title=app.config.html_title, url=f"{app.config.root_doc}.html")
    (Path(app.outdir) / "index.html").write_text(page, "utf-8")


def always_finish(
    app: Sphinx, env: object, added: object, changed: object, removed: object
) -> list[str]:
    """Build one page in any case: without one, Sphinx would not copy a changed style sheet."""
    return [app.config.root_doc]
