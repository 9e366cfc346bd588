"""Ways into the book: minutes, what stands before a chapter, pictures that lead in."""

import base64
import io

import pytest
from bs4 import BeautifulSoup
from PIL import Image
from sphinx.errors import ExtensionError

from book._ext.minattn_site import ways
from book.tools.contents import Chapter


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "0 min"), (52, "50 min"), (58, "1 h"), (125, "2 h 5 min"), (720, "12 h")],
)
def test_minutes_are_said_as_people_do(minutes, said):
    assert ways.duration(minutes) == said


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([], ""), ([2], "2"), ([1, 2], "1 to 2"), ([1, 2, 3, 7, 15, 16], "1 to 3, 7, 15 to 16")],
)
def test_numbers_in_a_row_are_one_range(numbers, said):
    assert ways.in_ranges(numbers) == said


def test_what_stands_before_a_chapter_is_all_that_it_builds_on():
    chapters = {
        f"{number:02}_x": Chapter(
            f"{number:02}_x", "Part", f"<{number}>", 10 * number, tuple(needs), ()
        )
        for number, needs in {
            0: [],
            1: ["00_x"],
            2: ["01_x"],
            10: ["01_x"],
            11: ["10_x", "02_x"],
        }.items()
    }
    table = BeautifulSoup(ways.came_for(chapters, "{}.html".format), "html.parser")
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in table.find_all("tr")[1:]]
    assert rows == [["<10>", "1", "1 h 50 min"], ["<11>", "1 to 2, 10", "4 h"]]
    assert [link["href"] for link in table.find_all("a")] == ["10_x.html", "11_x.html"]


def notebook(*descriptions):
    file = io.BytesIO()
    Image.new("RGB", (900, 300), "red").save(file, "png")
    data = {"image/png": base64.b64encode(file.getvalue()).decode()}
    return {
        "cells": [
            {"metadata": {"mystnb": {"image": {"alt": alt}}}, "outputs": [{"data": data}]}
            for alt in descriptions
        ]
    }


def test_a_picture_is_found_by_how_its_description_begins():
    alt, image = ways.picture(notebook("A map of weights.", "A curve that falls."), "A curve")
    assert alt == "A curve that falls."
    assert image.size == (900, 300)


@pytest.mark.parametrize(("words", "found"), [("A", 2), ("A tree", 0)])
def test_a_picture_that_is_not_told_from_others_is_refused(words, found):
    with pytest.raises(ExtensionError, match=f"got {found} for '{words}'"):
        ways.picture(notebook("A map.", "A curve."), words)


def test_a_small_picture_keeps_its_shape_on_white_paper(tmp_path):
    _, image = ways.picture(notebook("A map."), "A map")
    ways.write_small(image, tmp_path / "new" / "small.webp")
    small = Image.open(tmp_path / "new" / "small.webp").convert("RGB")
    assert small.size == (480, 300)
    assert min(small.getpixel((240, 10))) > 250
    assert small.getpixel((240, 150))[0] > 200 > 60 > small.getpixel((240, 150))[2]
