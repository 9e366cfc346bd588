"""Pictures made light: smaller, the same to the eye, and the same each time."""

import io
import random

import pytest
from PIL import Image

from book.tools.pictures import lighten


def png(image, **settings):
    file = io.BytesIO()
    image.save(file, "png", **settings)
    return file.getvalue()


def speckled(n_colours, mode="RGB"):
    """As many colours as are said, strewn about."""
    draw = random.Random(0)
    colours = [tuple(draw.randrange(256) for _ in range(3)) for _ in range(n_colours)]
    image = Image.new("RGB", (60, 40))
    image.putdata(draw.choices(colours, k=60 * 40))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "RGB"])
def test_a_picture_gets_lighter_and_looks_the_same(mode):
    before = png(speckled(60, mode), dpi=(144, 144))
    after = lighten(before)
    assert len(after) < len(before)
    with Image.open(io.BytesIO(after)) as light:
        assert light.mode == "P"
        assert light.size == (60, 40)
        assert round(light.info["dpi"][0]) == 144
        assert light.convert("RGB").tobytes() == speckled(60).tobytes()


def test_a_clear_colour_that_no_point_has_makes_no_difference():
    before = png(speckled(60), transparency=(1, 2, 3))
    assert lighten(before) == lighten(png(speckled(60)))


def test_many_colours_become_few_that_are_near():
    before = png(speckled(1000))
    with Image.open(io.BytesIO(lighten(before))) as light:
        assert light.mode == "P"
        assert "dpi" not in light.info
        pairs = zip(light.convert("RGB").tobytes(), speckled(1000).tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 100


def test_the_same_bytes_come_out_each_time_and_stay():
    before = png(speckled(1000), dpi=(144, 144))
    after = lighten(before)
    assert after != before
    assert lighten(before) == after
    assert lighten(after) == after


@pytest.mark.parametrize(
    "picture",
    [
        png(Image.new("RGBA", (50, 50), (0, 0, 0, 100))),
        png(speckled(1), transparency=speckled(1).getpixel((0, 0))),
        png(speckled(60).quantize(16)),
        png(Image.new("L", (1, 1))),
    ],
    ids=["seen through", "one colour seen through", "a palette", "would not get smaller"],
)
def test_what_would_lose_or_gain_nothing_stays(picture):
    assert lighten(picture) is picture
