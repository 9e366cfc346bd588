"""One browser and one address of the built book for all page tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from book.tools.browsing import CHROMIUM, SITE, chromium, served


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file on one worker, which makes its fixtures once; only pages are shared out.

    Pages come last, because many small groups even out what the files leave.
    """
    paged = [item for item in items if item.get_closest_marker("xdist_group")]
    for item in items:
        if item not in paged:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    items.sort(key=paged.__contains__)


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
