"""One browser and one address of the built book for all page tests."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from xdist.scheduler import LoadScopeScheduling

from book.tools.browsing import CHROMIUM, SITE, chromium, served


class ByPage(LoadScopeScheduling):
    """Keep all that asks for one page on one worker, which opens it once, and each other file too.

    As files, the pages would all go to one worker; as tests, each of them to both.
    """

    def _split_scope(self, nodeid: str) -> str:
        page = re.search(r"\[(?:(?:day|night)-)?(.+\.html)\]$", nodeid)
        return page[1] if page else nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPage:
    return ByPage(config, log)


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
