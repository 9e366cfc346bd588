"""A page with nothing on it but live places, for the tests of what they show."""

from collections.abc import Iterable

BOX = """* { box-sizing: border-box }
body { margin: 0 auto; padding: 0 1rem; max-width: 52rem; background: var(--paper); color: var(--ink) }"""


def live_page(title: str, sheets: Iterable[str], places: str, scripts: Iterable[str]) -> str:
    """Write the page; sheets and scripts are addresses, places is what stands under the heading."""
    styles = "".join(f'<link rel="stylesheet" href="{sheet}">' for sheet in sheets)
    code = "".join(f'<script src="{script}"></script>' for script in scripts)
    return (
        '<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>{styles}<style>{BOX}</style></head>"
        f"<body><main class='bd-article'><h1>{title}</h1>{places}</main>{code}</body></html>"
    )
