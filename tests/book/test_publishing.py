"""What a published book has beside its pages, and an archive of at most a certain size."""

from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from sphinx.errors import ExtensionError

from book._ext.minattn_site import publishing
from book.tools import preview, zip_book
from tests.book.test_making import ROOT

ADDRESS = "https://example.org/some/book"


def app(tmp_path, address):
    config = SimpleNamespace(html_baseurl=address, html_title="minattn", root_doc="book/index")
    env = SimpleNamespace(found_docs={"notebooks/02_b", "book/index"})
    return SimpleNamespace(config=config, env=env, outdir=tmp_path)


def tags(tmp_path, address, pagename="notebooks/02_b", **context):
    publishing.describe(app(tmp_path, address), pagename, "page.html", context, None)
    soup = BeautifulSoup(context["metatags"], "html.parser")
    return {tag.get("name") or tag.get("property"): tag["content"] for tag in soup.find_all("meta")}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<h1>A</h1><p><strong>Where does it look?</strong></p><p>More.</p>", "Where does it look?"),
        ('<p class="x">One, <em>two</em>\nand &lt;three&gt;. Four.</p>', "One, two and <three>."),
        (r'<p>Take <span class="math">\(d_k\)</span> of 0.5 as it is. No.</p>', "Take d_k of 0.5 as it is."),
        ("<p>  </p><p>First.</p>", "First."),
        ("<pre>no paragraph</pre>", ""),
    ],
)  # fmt: skip
def test_a_page_is_described_by_its_first_sentence(body, words):
    assert publishing.described(body) == words


def test_a_long_sentence_is_cut_between_two_words():
    words = publishing.described(f"<p>{'word ' * 50}</p>")
    assert len(words) <= publishing.LONGEST
    assert words.endswith("word word…")


def test_a_page_says_what_it_is_about(tmp_path):
    body = '<p>Is "a &amp; b" one?</p>'
    found = tags(
        tmp_path,
        "",
        title="<em>Soft</em> &amp; hard",
        body=body,
        metatags='<meta name="kept" content="x">',
    )
    assert found == {
        "kept": "x",
        "description": 'Is "a & b" one?',
        "og:title": "Soft & hard",
        "og:description": 'Is "a & b" one?',
        "og:type": "article",
        "og:site_name": "minattn",
    }


def test_with_an_address_a_page_has_its_own_and_a_picture(tmp_path):
    for address in (ADDRESS, f"{ADDRESS}/"):
        found = tags(tmp_path, address, "book/index", title="x", body="")
        assert found["og:url"] == f"{ADDRESS}/book/index.html"
        assert found["og:image"] == f"{ADDRESS}/_static/preview.png"
        assert found["og:type"] == "website"
        assert "description" not in found


@pytest.mark.parametrize(
    "address", ["example.org", "ftp://example.org", "https://a b", "https://a/?b"]
)
def test_what_is_no_address_is_refused(address, tmp_path):
    with pytest.raises(ExtensionError, match=r"baseurl is https://\.\.\. or empty, got"):
        publishing.write_marks(app(tmp_path, address))


def test_there_is_a_map_of_the_site_only_with_an_address(tmp_path):
    publishing.write_marks(app(tmp_path, ""))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".nojekyll"]
    publishing.write_marks(app(tmp_path, ADDRESS))
    places = ElementTree.parse(tmp_path / "sitemap.xml").findall("{*}url/{*}loc")
    assert [place.text for place in places] == [
        f"{ADDRESS}/book/index.html",
        f"{ADDRESS}/notebooks/02_b.html",
    ]


@pytest.mark.parametrize(("address", "start"), [("", ""), (ADDRESS, f"{ADDRESS}/")])
def test_the_links_of_the_page_for_wrong_addresses_are_whole_if_they_can_be(
    tmp_path, address, start
):
    publishing.write_missing_page(app(tmp_path, address))
    page = BeautifulSoup((tmp_path / "404.html").read_text("utf-8"), "html.parser")
    links = [link["href"] for link in page.select("a")]
    assert links == [f"{start}book/index.html", f"{start}search.html"]
    assert page.title.string == "No such page: minattn"


def test_the_book_names_no_address_of_its_own_or_a_whole_one():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    publishing.base_address(config["html"]["baseurl"])


def test_the_preview_is_of_todays_figure_and_of_the_size_that_is_asked_for(tmp_path, capsys):
    assert preview.main(["--check"]) == 0, "run python -m book.tools.preview"
    picture = preview.paths(ROOT)[1]
    with Image.open(picture) as image:
        assert image.size == (1200, 630)
    assert picture.stat().st_size <= 60_000

    figure, copy = preview.paths(tmp_path)
    figure.parent.mkdir(parents=True)
    (tmp_path / "_config.yml").write_bytes((ROOT / "_config.yml").read_bytes())
    figure.write_bytes(preview.paths(ROOT)[0].read_bytes())
    assert preview.main(["--check"], tmp_path) == 1, "there is none"
    copy.write_bytes(picture.read_bytes())
    assert preview.main(["--check"], tmp_path) == 0
    figure.write_text(figure.read_text("utf-8").replace("</svg>", "<g/></svg>"), "utf-8")
    assert preview.main(["--check"], tmp_path) == 1
    assert "out of date; run python -m book.tools.preview" in capsys.readouterr().err


# the archive --------------------------------------------------------------------------------------


def test_the_archive_says_which_bar_it_misses(tmp_path, monkeypatch, capsys):
    site = tmp_path / "_build" / "html"
    site.mkdir(parents=True)
    for name in ("index.html", ".nojekyll", "404.html", "sitemap.xml", "objects.inv"):
        (site / name).write_text("a" * 1000)
    assert zip_book.main(tmp_path) == 0
    assert "1 files, 0.0 MB; unpacked 0.0 MB" in capsys.readouterr().out
    monkeypatch.setattr(zip_book, "MOST_PACKED", 10)
    monkeypatch.setattr(zip_book, "MOST_UNPACKED", 4999)
    assert zip_book.main(tmp_path) == 1
    said = capsys.readouterr().err
    assert "the archive may have 0 MB, got 0.0" in said
    assert "the book unpacked may have 0 MB, got 0.0" in said
    assert zip_book.too_large(1e6, 2e6) == [
        "the archive may have 0 MB, got 1.0",
        "the book unpacked may have 0 MB, got 2.0",
    ]


def test_where_the_disk_is_full_the_archive_of_before_stays(tmp_path, monkeypatch):
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "index.html").touch()
    (tmp_path / "_build" / "minattn-book.zip").write_text("of before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zip_book.zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        zip_book.main(tmp_path)
    assert (tmp_path / "_build" / "minattn-book.zip").read_text() == "of before"
    assert not list(tmp_path.rglob("*.tmp"))
