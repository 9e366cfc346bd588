"""The theme's style sheets, without what the book does not use."""

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import tinycss2
from sphinx.application import Sphinx
from tinycss2.ast import Node

from .mathjax import MATHJAX

# The theme's two large style sheets, of which the book needs a third.
LARGE_STYLES = ("styles/bootstrap.css", "styles/pydata-sphinx-theme.css")
RULES_INSIDE = ("media", "supports")  # of other at-rules, such as font-face, nothing is left out
WORD = re.compile(r"[\w-]+")


def lighten_styles(app: Sphinx) -> None:
    """Leave out the rules for classes that no page and no script of the book so much as mentions."""
    site = Path(app.outdir)
    sources = [*site.rglob("*.html"), *site.glob("_static/*.js"), *site.glob("_static/*/*.js")]
    words = {
        word
        for path in sources
        if MATHJAX not in path.parts
        for word in WORD.findall(path.read_text("utf-8"))
    }
    for name in LARGE_STYLES:
        path = site / "_static" / name
        path.write_text(used_rules(path.read_text("utf-8"), words), "utf-8")
    # 3 MB that no page refers to: minattn.css draws the icons.
    shutil.rmtree(site / "_static" / "vendor", ignore_errors=True)


def used_rules(css: str, words: set[str]) -> str:
    """The rules of a style sheet whose classes are all among `words`."""
    rules = tinycss2.parse_stylesheet(css, skip_whitespace=True)
    return "".join(written(rules, words))


def written(rules: Iterable[Node], words: set[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [s for s in split_at_commas(rule.prelude) if classes(s) <= words]
            head = ",".join(tinycss2.serialize(s).strip() for s in selectors)
            inside = tinycss2.serialize(rule.content)
        elif rule.type == "at-rule" and rule.lower_at_keyword in RULES_INSIDE:
            rules_inside = tinycss2.parse_rule_list(rule.content, skip_whitespace=True)
            head = f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}"
            inside = "".join(written(rules_inside, words))
        else:
            # Of comments, only the ones that say under which licence the rest stands.
            if rule.type != "comment" or rule.value.startswith("!"):
                yield rule.serialize()
            continue
        if head and inside:
            yield f"{head}{{{inside}}}"


def split_at_commas(tokens: list[Node]) -> list[list[Node]]:
    """The selectors of a rule. What stands in brackets, as in :is(...), is one token: it stays whole."""
    parts: list[list[Node]] = [[]]
    for token in tokens:
        if token == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def classes(tokens: list[Node]) -> set[str]:
    """All classes that a selector names, also those in brackets, in words as pages are read."""
    found: set[str] = set()
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before == "." and token.type == "ident":
            found.update(WORD.findall(token.value))
        inside = getattr(token, "arguments", None) or getattr(token, "content", None)
        if isinstance(inside, list):
            found |= classes(inside)
    return found
