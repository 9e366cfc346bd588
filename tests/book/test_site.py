"""What the book adds to Sphinx: lighter style sheets, buttons, and copies to take along."""

import json
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document
from PIL import Image
from sphinx.errors import ExtensionError

from book._ext.minattn_site import (
    body,
    claims,
    colab,
    contents,
    folds,
    images,
    languages,
    mathjax,
    numbers,
    places,
    reading_map,
    styles,
)
from book.tools.contents import Chapter, chapters_in_order, number_of, numbered
from minattn.claims import checks, claim

ROOT = Path(__file__).parents[2]
CHAPTER = "notebooks/02_soft_attention"
REPOSITORY = "https://github.com/someone/minattn"


# styles.py ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        ("p,.used{a:b}.unused,.used .unused{a:b}", "p,.used{a:b}"),
        (":is(.used,.x) a,:not(.x){a:b}:is(.used,b) a{a:b}", ":is(.used,b) a{a:b}"),
        ("@media print{.used:not(.unused){a:b}.used{c:d}}", "@media print{.used{c:d}}"),
        ("@supports (a:b){@media print{.used{c:d}}}", "@supports (a:b){@media print{.used{c:d}}}"),
        ("@media screen{.unused{a:b}}@supports (a:b){@media x{.unused{a:b}}}", ""),
        ("@keyframes turn{0%{a:b}to{a:c}}", "@keyframes turn{0%{a:b}to{a:c}}"),
        ("@font-face{src:url(a.b)}", "@font-face{src:url(a.b)}"),
        ('@charset "utf-8";\n/* .x{} */ .used { a : b }\n', '@charset "utf-8";.used{ a : b }'),
        ("[data-x].used::before{content:'.}'}", '[data-x].used::before{content:".}"}'),
        ('a[href$=".x"]{a:b}', 'a[href$=".x"]{a:b}'),
        (r".used\:x,.used\:word{a:b}", r".used\:word{a:b}"),
        (".used{}", ""),
        ("/*! MIT */.used{a:b}/* .x */", "/*! MIT */.used{a:b}"),
    ],
)
def test_rules_for_classes_that_no_page_mentions_are_left_out(css, kept):
    assert styles.used_rules(css, {"used", "word"}) == kept


def test_only_the_two_large_style_sheets_of_a_site_are_made_light(tmp_path):
    static = tmp_path / "_static"
    for folder in ("styles", "vendor", mathjax.MATHJAX):
        (static / folder).mkdir(parents=True)
    sheets = [*styles.LARGE_STYLES, "minattn.css"]
    for name in sheets:
        (static / name).write_text(".a{b:c}.d{e:f}.g{h:i}")
    (tmp_path / "index.html").write_text('<p class="x a">')
    (static / "minattn.js").write_text("part.classList.add('d')")
    (static / mathjax.MATHJAX / "mathjax.js").write_text("g")
    styles.lighten_styles(SimpleNamespace(outdir=tmp_path))
    *large, ours = [(static / name).read_text() for name in sheets]
    assert large == [".a{b:c}.d{e:f}"] * 2
    assert ours == ".a{b:c}.d{e:f}.g{h:i}"
    assert not (static / "vendor").exists()


# images.py ----------------------------------------------------------------------------------------


def test_an_inch_of_a_figure_is_an_inch_of_the_page_and_what_is_further_down_waits(tmp_path):
    Image.new("P", (300, 150)).save(tmp_path / "a b.png", dpi=(144, 144))
    Image.new("P", (300, 150)).save(tmp_path / "plain.png")
    builder = SimpleNamespace(images={"a b.png": "a b.png", "plain.png": "plain.png"})
    body = (
        '<img alt="x" src="../_images/a%20b.png">'
        + "word " * 200
        + '<img src="../_images/plain.png"><img src="../_images/other.svg">'
    )
    context = {"body": body}
    app = SimpleNamespace(builder=builder, srcdir=tmp_path)
    images.settle_images(app, "page", "page.html", context, None)
    first, *others = context["body"].split("<img ")[1:]
    assert first.startswith('alt="x" src="../_images/a%20b.png" width="200" height="100">')
    assert others == [
        'src="../_images/plain.png" loading="lazy" width="300" height="150">',
        'src="../_images/other.svg" loading="lazy">',
    ]


# mathjax.py ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "letters"),
    [("x", 1), (r"\alpha_{ij}", 3), (r"\tanh(W x)", 8), (r"\max_i \maxx", 5), (r"a &lt; b", 3)],
)
def test_a_formula_is_told_how_many_letters_wide_it_will_be(formula, letters):
    span = '<span class="math notranslate nohighlight"'
    context = {"body": rf"{span}>\({formula}\)</span>"}
    mathjax.settle_formulas(None, "page", "page.html", context, None)
    assert context["body"].startswith(f'{span} style="--letters: {letters}">')


# colab.py -----------------------------------------------------------------------------------------


def buttons(repository, pagename=CHAPTER, suffix=".ipynb"):
    """The download buttons of a page under a setting, as the theme hands them over and we leave them."""
    theme = [
        {"label": "download-source-button", "text": suffix, "tooltip": "Download source file"},
        {"label": "download-pdf-button", "text": ".pdf", "tooltip": "Print to PDF"},
    ]
    context = {
        "header_buttons": [{"label": "download-buttons", "buttons": theme}],
        "page_source_suffix": suffix,
    }
    app = SimpleNamespace(config=SimpleNamespace(minattn_repository=repository))
    colab.name_buttons(app, pagename, "page.html", context, None)
    return {button["text"]: button.get("url") for button in theme}


def test_without_a_repository_there_is_a_download_and_no_colab():
    assert list(buttons("")) == ["Download .ipynb", "Print, or save as PDF"]
    assert colab.colab_address("", CHAPTER) is None


def test_with_a_repository_a_chapter_opens_in_colab():
    offered = buttons(REPOSITORY)
    assert list(offered) == ["Download .ipynb", "Open in Colab", "Print, or save as PDF"]
    assert offered["Open in Colab"] == (
        "https://colab.research.google.com/github/someone/minattn"
        "/blob/gh-pages/colab/02_soft_attention.ipynb"
    )
    assert "Open in Colab" not in buttons(REPOSITORY, "book/glossary", ".md")


@pytest.mark.parametrize("wrong", ["minattn", "http://github.com/a/b", "https://github.com/a"])
def test_an_address_that_is_no_repository_is_refused(wrong):
    with pytest.raises(ExtensionError, match="or empty, got"):
        colab.repository_path(wrong)


def test_colab_gets_a_copy_that_fetches_the_book_first():
    source = ROOT / f"{CHAPTER}.ipynb"
    before = source.read_bytes()
    copy = colab.colab_copy(json.loads(before), CHAPTER, f"{REPOSITORY}.git/")
    first, *others = copy["cells"]
    lines = "".join(first["source"]).splitlines()
    assert lines[1:] == [
        f"!git clone --quiet --depth 1 {REPOSITORY} minattn-book",
        "%cd minattn-book",
        "%pip install --quiet .[book]",
    ]
    assert all(not cell.get("outputs") for cell in copy["cells"])
    text = "".join("".join(cell["source"]) for cell in others if cell["cell_type"] == "markdown")
    assert f"]({REPOSITORY}/blob/HEAD/notebooks/01_context_vector.ipynb)" in text
    assert "](../" not in text
    assert text.startswith("# 2. Soft attention\n")
    assert source.read_bytes() == before, "the notebook itself stays as it is"


@pytest.mark.parametrize("chapter", chapters_in_order(ROOT))
def test_a_download_reads_well_and_leads_nowhere_else(chapter):
    copy = colab.download_copy(
        json.loads((ROOT / f"notebooks/{chapter}.ipynb").read_text("utf-8")), chapter, ""
    )
    nbformat.validate(nbformat.from_dict(copy))
    assert 'pip install ".[book]"' in "".join(copy["cells"][0]["source"])
    words = ["".join(cell["source"]) for cell in copy["cells"] if cell["cell_type"] == "markdown"]
    for text in words:
        assert not re.search(r"\{[a-z]+(:[a-z]+)?\}`", text), "a role is for Sphinx alone"
        assert not re.search(r"(?m)^(:::|```\{|\([\w-]+\)=)", text), "so is a directive"
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            known = (ROOT / "notebooks" / link.partition("#")[0]).is_file() and "/" not in link
            assert known or link.startswith(("https:", "#")), link


def test_a_download_keeps_the_words_of_a_link_to_a_page_of_the_book():
    source = "See [the [CLS] of `BERT`](../book/glossary.md#cls), [chapter 2](02_soft_attention.ipynb#a)."
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": source}]
    copy = colab.download_copy({"cells": cells, "metadata": {}}, "glossary", REPOSITORY)
    first, second = ("".join(cell["source"]) for cell in copy["cells"])
    assert f'pip install "minattn[book] @ git+{REPOSITORY}"' in first
    assert second == "See the [CLS] of `BERT`, [chapter 2](02_soft_attention.ipynb#a)."


@pytest.mark.parametrize("repository", ["", REPOSITORY])
def test_a_build_writes_what_is_downloaded_and_with_a_repository_what_colab_opens(
    repository, tmp_path
):
    app = SimpleNamespace(
        config=SimpleNamespace(minattn_repository=repository),
        env=SimpleNamespace(found_docs={CHAPTER, "book/glossary"}),
        srcdir=ROOT,
        outdir=tmp_path,
    )
    colab.write_copies(app)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.ipynb")}
    assert files == {f"_sources/{CHAPTER}.ipynb"} | (
        {"colab/02_soft_attention.ipynb"} if repository else set()
    )
    cells = json.loads((tmp_path / f"_sources/{CHAPTER}.ipynb").read_text("utf-8"))["cells"]
    assert "This is a copy" in "".join(cells[0]["source"])
    assert "".join(cells[1]["source"]).startswith("# 2. Soft attention\n")


# numbers.py ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("notebooks/00_ten_minute_check", 0),
        ("05_multi_head", 5),
        ("notebooks/23_many_machines", 23),
        ("book/glossary", None),
        ("book/05_multi_head", None),
        ("2014", None),
    ],
)
def test_the_number_of_a_chapter_comes_from_its_name(name, number):
    assert number_of(name) == number
    assert numbered(name, "Title") == ("Title" if number is None else f"{number}. Title")


@pytest.mark.parametrize("name", ["notebooks/00_check", "notebooks/05_multi_head", "book/glossary"])
def test_a_title_gets_its_number_and_keeps_its_anchor(name):
    document = new_document("page")
    section = nodes.section("", nodes.title("", "Attention"), ids=["attention"])
    section += nodes.section("", nodes.title("", "Inside"))
    document += section
    document.settings.env = SimpleNamespace(docname=name)
    numbers.NumberTitle(document).apply()
    titles = [title.astext() for title in document.findall(nodes.title)]
    assert titles == [numbered(name, "Attention"), "Inside"]
    assert section["ids"] == ["attention"]


# claims.py ----------------------------------------------------------------------------------------


@pytest.fixture
def page_with_claims(notebook, tmp_path):
    """What a chapter stores that makes three claims twice: each for itself, and together."""
    for line in (nullcontext(), checks("all three")):
        with line:
            claim("a < b's", 0.955, at_least=0.9, spread=[0.935, 0.97, 0.95, 0.94, 0.96])
            claim("it is true", True)
            claim("a < b's", 2.5e-7, at_most=1e-3, of="worst of five seeds")
    outputs = [{"metadata": output["metadata"]} for output in notebook.outputs]
    cells = [{"outputs": []}, {"source": ""}, *({"outputs": [output]} for output in outputs)]
    (tmp_path / "chapter.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
    return SimpleNamespace(srcdir=tmp_path), "".join(
        output["data"]["text/html"] for output in notebook.outputs
    )


def test_a_page_shows_the_value_of_every_claim_inside_of_checks_and_outside(page_with_claims):
    app, body = page_with_claims
    assert "0.955" not in body
    context = {"body": f"<p>a &lt; b&#x27;s</p>{body}<p>after</p>"}
    claims.show_measured_values(app, "chapter", "page.html", context, None)
    bars = BeautifulSoup(context["body"], "html.parser").select(".claim-bar")
    words = [
        "(this run 0.955; five seeds 0.935 to 0.97; bar: at least 0.9)",
        "(worst of five seeds 2.5e-07; bar: at most 0.001)",
    ]
    assert [bar.get_text() for bar in bars] == words * 2
    assert context["body"].count("a &lt; b&#x27;s <span") == 4
    assert context["body"].endswith("<p>after</p>")


def test_every_claim_can_be_linked_to_those_that_show_no_value_too(page_with_claims):
    app, body = page_with_claims
    context = {"body": body}
    claims.show_measured_values(app, "chapter", "page.html", context, None)
    soup = BeautifulSoup(context["body"], "html.parser")
    linked = soup.select(".claim[id], .checks li[id]")
    slugs = ["claim-a-b-s", "claim-it-is-true"]
    assert [part["id"] for part in linked] == [
        *slugs,
        "claim-a-b-s-2",
        "claim-a-b-s-3",
        "claim-it-is-true-2",
        "claim-a-b-s-4",
    ]
    assert [part.select_one("a.place-link")["href"] for part in linked] == [
        f"#{part['id']}" for part in linked
    ]
    assert [part.name for part in linked] == ["div"] * 3 + ["li"] * 3
    assert len(soup.select(".claim-mark")) == 3


# places.py ----------------------------------------------------------------------------------------


def linked_formulas(*bodies):
    context = {
        "body": "".join(f'<div class="math notranslate nohighlight"{b}</div>' for b in bodies)
    }
    places.link_formulas(None, "page", "page.html", context, None)
    return BeautifulSoup(context["body"], "html.parser").select("div.math")


def test_a_formula_keeps_its_address_when_another_comes_before_it():
    (alone,) = linked_formulas("> \\[x = y\\] ")
    another, same, again = linked_formulas(">\\[x + y\\]", ">\\[x\n= y\\]", ">\\[x=y\\]")
    assert alone["id"].startswith("formula-")
    assert same["id"] == alone["id"] != another["id"]
    assert again["id"] == f"{alone['id']}-2"
    assert alone.select_one("a.place-link")["href"] == f"#{alone['id']}"
    assert "\\[x = y\\]" in alone.get_text()


def test_a_formula_with_a_label_keeps_it():
    (labelled,) = linked_formulas(' id="equation-x">\\[x\\]')
    assert labelled["id"] == "equation-x"
    assert labelled.select_one("a.place-link")["href"] == "#equation-x"


# languages.py -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "marked"),
    [
        ("<em>drei und zwanzig</em>", '<em lang="de">drei und zwanzig</em>'),
        ("<em>un six dix</em>", '<em lang="fr">un six dix</em>'),
        ("<em>six</em> <em>drei cats</em> drei <em>→</em>", None),
        ("<dt>attention (注意力)</dt>", '<dt>attention (<span lang="zh">注意力</span>)</dt>'),
        ('<img alt="a cat, 猫"/><p>', None),
    ],
)
def test_words_of_other_languages_say_which(body, marked):
    context = {"body": body}
    languages.mark_languages(None, "page", "page.html", context, None)
    assert context["body"] == (marked or body)


# body.py ------------------------------------------------------------------------------------------


def test_the_range_behind_a_median_is_kept_together_where_it_is_text():
    page = (
        '<td>0.91 (0.86–0.95)</td><img alt="0.91 (0.86–0.95)"><p>1 (2–3), 1,200 (1,000–1,300)</p>'
    )
    context = {"body": page}
    body.keep_ranges(None, "page", "page.html", context, None)
    assert [span.text for span in BeautifulSoup(context["body"], "lxml").select(".range")] == [
        "(0.86–0.95)",
        "(2–3)",
        "(1,000–1,300)",
    ]
    assert 'alt="0.91 (0.86–0.95)"' in context["body"]


# folds.py -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "menus"), [("<details class='hide'>", 1), ("<p>", 0)])
def test_only_a_page_with_folds_offers_to_open_them(body, menus):
    context = {"body": body, "header_buttons": []}
    folds.offer_folds(None, "page", "page.html", context, None)
    assert len(context["header_buttons"]) == menus
    for menu in context["header_buttons"]:
        assert [button["text"] for button in menu["buttons"]] == list(folds.WORDS.values())


def test_a_page_that_lacks_a_claim_is_refused_and_other_pages_are_left_alone(page_with_claims):
    app, body = page_with_claims
    context = {"body": body.replace("a &lt; b", "a", 1)}
    with pytest.raises(ExtensionError, match="chapter must show every claim, got none of: a &lt;"):
        claims.show_measured_values(app, "chapter", "page.html", context, None)
    context = {"body": "<p>a glossary</p>"}
    claims.show_measured_values(app, "glossary", "page.html", context, None)
    assert context == {"body": "<p>a glossary</p>"}


# reading_map.py -----------------------------------------------------------------------------------


def course(**needs):
    """Chapters a, b and so on, by what each needs, such as d="ac"."""
    return {
        stem: Chapter(f"0{number}_{stem}", "Part", f"About <{stem}>", 30, tuple(need), ())
        for number, (stem, need) in enumerate(needs.items())
    }


def test_what_one_need_brings_along_is_not_drawn_again():
    chapters = course(a="", b="a", c="b", d="acb", e="b", f="be")
    steps, jumps = reading_map.edges(chapters)
    assert steps == [("a", "b"), ("b", "c"), ("c", "d"), ("e", "f")]
    assert jumps == [("b", "e")]


def test_rails_that_pass_each_other_have_lanes_of_their_own():
    jumps = [("a", "f"), ("b", "d"), ("b", "e"), ("d", "f"), ("g", "i")]
    assert reading_map.lanes_of(jumps, list("abcdefghi")) == {"d": 1, "g": 1, "b": 2, "a": 3}


def test_the_map_links_every_chapter_and_says_in_words_what_it_shows():
    chapters = course(a="", b="a", c="b", d="b", e="cd")
    svg = BeautifulSoup(reading_map.draw(chapters, "{}.html".format), "html.parser").svg
    assert svg["aria-label"] == (
        "What to read before what. Chapters 0 to 2 are read in order; 3 needs 1; 4 needs 2 and 3."
    )
    links = {link["href"]: link.get_text() for link in svg.find_all("a")}
    assert links == {f"{s}.html": f"{n} About <{s}>" for n, s in enumerate(chapters)}


def test_a_chain_is_a_ladder_without_rails():
    chapters = course(a="", b="a", c="b")
    assert reading_map.edges(chapters)[1] == []
    svg = BeautifulSoup(reading_map.draw(chapters, str), "html.parser").svg
    assert svg.find("path")["d"].count("M") == 2
    assert len({circle["cx"] for circle in svg.find_all("circle")}) == 1
    assert svg.find_all("circle")[-1]["cy"] < svg["viewbox"].split()[-1]


def test_the_map_of_this_book_is_narrow_enough_for_a_phone():
    svg = reading_map.draw(chapters_in_order(ROOT), str)
    for text in BeautifulSoup(svg, "html.parser").select("text:not(.number)"):
        # Letters of the sans are about half as wide as high, and the type has 14 pixels.
        assert float(text["x"]) + 8 * len(text.get_text()) <= reading_map.WIDTH, text.get_text()


# contents.py --------------------------------------------------------------------------------------


def test_the_list_of_chapters_says_which_page_is_open():
    def theirs(**options):
        entries = """<li><a href="a.html">A</a></li><li><a class="current" href="part.html">Part</a>
            <ul><li><a class="current reference" href="#">B</a></li></ul></li>"""
        return BeautifulSoup(entries, "html.parser")

    context = {"generate_toctree_html": theirs}
    contents.mark_this_page(None, CHAPTER, "page.html", context, None)
    marked = context["generate_toctree_html"](kind="sidebar").select("[aria-current]")
    assert [(entry.get_text(), entry["aria-current"]) for entry in marked] == [("B", "page")]
