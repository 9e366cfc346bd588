"""Say of words of another language which it is, so that a screen reader speaks them as what they are."""

import re
from functools import cache
from typing import Any

from sphinx.application import Sphinx

from minattn.tasks.german_numbers import number_words
from minattn.tasks.voices import WORDS

# What a tag says of itself, as an alt text, is followed by > before any <.
CHINESE = re.compile(r"[\u4e00-\u9fff]+(?=[^<>]*<)")
EMPHASIS = re.compile(r"<em>([^<]+)</em>")
WORD = re.compile(r"\w+")


@cache
def known_words() -> dict[str, set[str]]:
    task = number_words(n_train=1, n_held_out_per_length=1)
    return {"de": {*task.source.tokens}, "fr": {*WORDS}}


def mark_languages(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Mark Chinese everywhere, and number words in italics: the German of the tasks, the French of chapter 14."""

    def mark(emphasis: re.Match[str]) -> str:
        words = set(WORD.findall(emphasis[1]))
        for language, ours in known_words().items():
            if words and words <= ours and words != {"six"}:  # which is English by itself
                return f'<em lang="{language}">{emphasis[1]}</em>'
        return emphasis[0]

    body = EMPHASIS.sub(mark, context.get("body", ""))
    context["body"] = CHINESE.sub(r'<span lang="zh">\g<0></span>', body)
