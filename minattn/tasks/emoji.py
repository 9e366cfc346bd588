"""Emoji of 32 things by six designers: the same thing, drawn six times.

All are free: Noto (Apache-2.0), Fluent (MIT), Firefox OS Emoji, EmojiOne 2 and Twemoji (CC BY 4.0). ``emoji.LICENSE``
names them and says what was changed, and ``book/tools/emoji.py`` is how they were made small.
"""

from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Float, UInt8

from minattn.checks import check_sizes

SIDE = 24
"""Pixels: the longer side of every stored emoji."""

TRAINED = "noto", "fluent", "noto_v1", "emojione"
VALIDATION = ("fxemoji",)
UNSEEN = ("twemoji",)
DESIGNERS = TRAINED + VALIDATION + UNSEEN
"""Those that models are trained on, the one that they are chosen by, and the one that they have never seen."""

CLASSES = tuple(
    "apple banana grapes strawberry lemon pineapple mushroom cat dog bear panda cow pig frog fish octopus "
    "bee turtle penguin car bus bicycle airplane rocket star heart umbrella key tulip cactus guitar house".split()
)

_GERMAN = (
    "m:Apfel f:Banane f:Traube f:Erdbeere f:Zitrone f:Ananas m:Pilz f:Katze m:Hund m:Bär m:Panda f:Kuh n:Schwein "
    "m:Frosch m:Fisch m:Oktopus f:Biene f:Schildkröte m:Pinguin n:Auto m:Bus n:Fahrrad n:Flugzeug f:Rakete m:Stern "
    "n:Herz m:Regenschirm m:Schlüssel f:Tulpe m:Kaktus f:Gitarre n:Haus"
).split()

GENDERS = tuple(word[0] for word in _GERMAN)
"""Of the German names: m, f or n."""

_NAMES = {
    "en": CLASSES,
    "de": tuple(word[2:] for word in _GERMAN),
    "zh": tuple(
        "苹果 香蕉 葡萄 草莓 柠檬 菠萝 蘑菇 猫 狗 熊 熊猫 奶牛 猪 青蛙 鱼 章鱼 "
        "蜜蜂 乌龟 企鹅 汽车 公交车 自行车 飞机 火箭 星星 爱心 雨伞 钥匙 郁金香 仙人掌 吉他 房子".split()
    ),
}


def names(language: str) -> tuple[str, ...]:
    """Return what the 32 things are called in English, German or Chinese.

    Args:
        language: "en", "de" or "zh". ``GENDERS`` says which article a German name has.

    Raises:
        ValueError: if there are no names in that language.

    >>> names("de")[:3], GENDERS[:3], names("zh")[:3]
    (('Apfel', 'Banane', 'Traube'), ('m', 'f', 'f'), ('苹果', '香蕉', '葡萄'))
    """
    if language not in _NAMES:
        raise ValueError(f"language must be one of {', '.join(_NAMES)}, got {language!r}")
    return _NAMES[language]


def check_designers(*designers: str) -> None:
    """Check that there are designers, and that each has emoji here.

    Raises:
        ValueError: naming the first that has none.
    """
    if not designers:
        raise ValueError("designers must be at least one, got none")
    for designer in designers:
        if designer not in DESIGNERS:
            raise ValueError(f"designer must be one of {', '.join(DESIGNERS)}, got {designer!r}")


@cache
def sheet(designer: str) -> UInt8[np.ndarray, "32 24 24 4"]:
    """Return the 32 emoji of a designer: red, green, blue and alpha, the colours multiplied by alpha.

    Raises:
        ValueError: if there is no such designer.

    >>> emoji = sheet("twemoji")
    >>> emoji.shape, bool((emoji[..., :3] <= emoji[..., 3:]).all())
    ((32, 24, 24, 4), True)
    """
    check_designers(designer)
    with np.load(resources.files("minattn.tasks") / "emoji.npz") as stored:  # type: ignore[arg-type]
        found = np.ascontiguousarray(stored[designer].transpose(0, 2, 3, 1))
    found.flags.writeable = False
    return found


def sprite(designer: str, name: str, size: int = SIDE) -> UInt8[np.ndarray, "height width 4"]:
    """Return an emoji with nothing around it, its longer side so many pixels.

    Args:
        designer: one of ``DESIGNERS``.
        name: one of ``CLASSES``.
        size: of the longer side, at most 24.

    Raises:
        ValueError: if there is no such designer or name, or the size is not from 1 to 24.

    >>> sprite("noto", "guitar", 16).shape, sprite("noto", "penguin", 16).shape
    ((16, 16, 4), (16, 11, 4))
    """
    check_sizes(size=size)
    if size > SIDE:
        raise ValueError(f"size must be at most {SIDE}, got {size}")
    if name not in CLASSES:
        raise ValueError(f"name must be one of {', '.join(CLASSES)}, got {name!r}")
    whole = sheet(designer)[CLASSES.index(name)]
    ink = whole[..., 3] > 32
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return resized(cut, *(max(1, round(size * n / max(cut.shape[:2]))) for n in cut.shape[:2]))


def resized(
    picture: UInt8[np.ndarray, "old_height old_width 4"], height: int, width: int
) -> UInt8[np.ndarray, "{height} {width} 4"]:
    """Make a picture smaller: each new pixel is the mean of the old ones that it covers.

    >>> resized(np.arange(16, dtype=np.uint8).reshape(2, 2, 4), 1, 1)
    array([[[6, 7, 8, 9]]], dtype=uint8)
    """
    high, wide = shares(picture.shape[0], height), shares(picture.shape[1], width)
    small = np.einsum("Yy,Xx,yxc->YXc", high, wide, picture.astype(np.float64))
    return np.asarray(np.round(small), dtype=np.uint8)


def shares(old: int, new: int) -> Float[np.ndarray, "{new} {old}"]:
    """Return how much of each new pixel each old one covers, in one direction: each row sums to 1.

    >>> shares(3, 2).tolist() == [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]
    True
    """
    edges = np.arange(new + 1)[:, None] * (old / new)
    before = np.clip(edges - np.arange(old), 0, 1)  # how much of each old pixel is before an edge
    return np.asarray(np.diff(before, axis=0) * (new / old), dtype=np.float64)
