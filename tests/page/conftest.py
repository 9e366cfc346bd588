"""One browser and one address of the built book for all page tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from book.tools.browsing import CHROMIUM, SITE, chromium, served


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").exists():
        pytest.fail(
            f"the book is not built: no {SITE / 'index.html'}; run make book", pytrace=False
        )
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with served(site) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.fail("MINATTN_REQUIRE_CHROMIUM=1, but no chromium is on the path", pytrace=False)
    with chromium() as running:
        yield running
