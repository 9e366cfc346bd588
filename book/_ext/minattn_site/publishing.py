"""What a published book has beside its pages: descriptions, a page for wrong addresses, a map of the site."""

import re
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

PREVIEW = "_static/preview.png"
LONGEST = 200
PARAGRAPH = re.compile(r"<p(?: [^>]*)?>(.*?)</p>", re.DOTALL)
FORMULA = re.compile(r"\\[()]")


def base_address(address: str) -> str:
    """The address of the published book with a slash at its end; an empty text if there is none yet."""
    if address and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", address):
        raise ExtensionError(f"baseurl is https://... or empty, got {address!r}")
    return f"{address.rstrip('/')}/" if address else ""


def described(body: str) -> str:
    """The first sentence of a page, without its marks: in a chapter, its question."""
    for paragraph in PARAGRAPH.findall(body):
        text = " ".join(unescape(FORMULA.sub("", re.sub(r"<[^>]+>", "", paragraph))).split())
        if text:
            sentence = re.split(r"(?<=[.?!])\s", text)[0]
            cut = sentence[: LONGEST - 1].rsplit(" ", 1)[0] + "…"
            return sentence if len(sentence) <= LONGEST else cut
    return ""


def describe(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Say what a page is about to those who show a link to it."""
    base = base_address(app.config.html_baseurl)
    title = unescape(re.sub(r"<[^>]+>", "", context.get("title") or "")) or app.config.html_title
    words = described(context.get("body", ""))
    named = {
        "description": words,
        "og:title": title,
        "og:description": words,
        "og:type": "website" if pagename == app.config.root_doc else "article",
        "og:site_name": app.config.html_title,
        # These two must be whole addresses.
        "og:url": base and urljoin(base, f"{pagename}.html"),
        "og:image": base and urljoin(base, PREVIEW),
        "twitter:card": base and "summary_large_image",
    }
    tags = [
        f'<meta {"property" if name.startswith("og:") else "name"}="{name}" content="{escape(text)}">'
        for name, text in named.items()
        if text
    ]
    context["metatags"] = "\n    ".join([context.get("metatags", ""), *tags])


def write_missing_page(app: Sphinx) -> None:
    """Write 404.html, which a server shows at any depth: so its links are whole, or found by a script."""
    template = (Path(__file__).parents[1] / "templates" / "404.html").read_text("utf-8")
    base = base_address(app.config.html_baseurl)
    page = template.replace("{{ base }}", escape(base)).replace(
        "{{ title }}", app.config.html_title
    )
    (Path(app.outdir) / "404.html").write_text(page, "utf-8")


def write_marks(app: Sphinx) -> None:
    """Tell GitHub to leave the pages as they are, and search engines which there are."""
    out, base = Path(app.outdir), base_address(app.config.html_baseurl)
    (out / ".nojekyll").write_text("")
    if base:
        rows = "".join(
            f"<url><loc>{escape(urljoin(base, f'{name}.html'))}</loc></url>\n"
            for name in sorted(app.env.found_docs)
        )
        (out / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}</urlset>\n'
        )
