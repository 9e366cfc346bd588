"""One command makes all that the live places load."""

import json
import shlex
from pathlib import Path

from book.tools import live_places

ROOT = Path(__file__).parents[2]
CARDS = sorted((ROOT / "book" / "_static" / "live" / "weights").glob("*.json"))


def test_every_card_names_a_command_that_there_is():
    known = live_places.commands()
    assert CARDS
    for card in CARDS:
        make, live, only = shlex.split(json.loads(card.read_text("utf-8"))["command"])
        assert (make, live) == ("make", "live")
        assert only.removeprefix("ONLY=") in known, card.name


def test_every_command_made_something_that_is_here():
    asked = {json.loads(card.read_text("utf-8"))["command"].partition("ONLY=")[2] for card in CARDS}
    assert asked == set(live_places.commands())
