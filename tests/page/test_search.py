"""The search of the built book: what is asked, where it leads, and how it is used."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page

from book.tools.browsing import CHROMIUM, DESK, MISSING, PHONE, violations, watch

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

# Of each kind one question, and the place that has to be the first or the second. A reference is known by its title.
QUESTIONS = {
    "teacher forcing": "notebooks/01_context_vector#teacher-forcing-and-the-shift-by-one",
    "softmax(QK^T / sqrt(d_k)) V": "book/glossary#term-scaled-dot-product-attention",
    "temperature must be a finite number above 0 (for 0 there is greedy), got 0.0": "book/api#minattn.decoding.sample",
    "blockwise_attend": "book/api_inside#minattn.scaling.blockwise.blockwise_attend",
    "lines join the German words": "book/index#minattn-attention-built-and-measured",
    "one vector of 64 numbers is enough for numbers of 3 digits": "notebooks/01_context_vector#train-it-and-count",
    "Bahdanau 2014": "Neural machine translation by jointly learning to align and translate",
    "exercise 3.2": "notebooks/03_queries_keys_values#exercise-3-2-two-masks-in-one",
    "naive_split": "notebooks/05_multi_head#split-attend-merge",
    "注意力": "book/glossary#term-attention",
    "Ｓｏｆｔｍａｘ": "book/glossary#term-softmax",  # as a Chinese keyboard may write it
}
# More of each kind, on which nothing was tuned.
OTHERS = {
    "label smoothing": "notebooks/07_training#label-smoothing-and-its-fault-with-padding",
    "exposure bias": "notebooks/08_decoding#exposure-bias-one-wrong-word",
    "key/value cache": "notebooks/08_decoding#the-key-value-cache",
    "log p(y|x) = sum log p(y_t | y_<t, x)": "notebooks/08_decoding#the-probability-of-a-sentence",
    "p P_vocab(w) + (1-p)": "notebooks/13_summarization#a-pointer-a-gate-and-their-mixture",
    "sin(pos / 10000^(2i/d))": "notebooks/04_self_attention#sinusoidal-positions",
    "checks must not stand inside of checks, got 'a' inside others": "book/api_support#minattn.claims.checks",
    "n_kv_heads must be at least 1 and divide n_heads, got 3 for 8 heads": (
        "book/api#minattn.multihead.MultiHeadAttention"
    ),
    "a mask must have shape (..., queries or 1, keys) and broadcast to the scores, got (2, 3)": (
        "book/api#minattn.masks.check_mask_shape"
    ),
    "split_heads": "book/api#minattn.multihead.split_heads",
    "numpy_attend": "book/api#minattn.dot_product.numpy_attend",
    "keep_top_p": "book/api#minattn.decoding.keep_top_p",
    "scenes with captions that are wrong": "notebooks/15_captioning#your-own-scene",
    "blue for 1 and red for -1 fast clocks": "notebooks/04_self_attention#sinusoidal-positions",
    "least an honest model can expect": "notebooks/04_self_attention#writing-on-a-causal-language-model",
    "reading one way, tens and units are both looked up where they stand this often": (
        "notebooks/02_soft_attention#read-maps-with-care"
    ),
    "lists of 3 to 20 letters reversed by two layers": (
        "notebooks/04_self_attention#what-takes-one-look-and-what-takes-two"
    ),
    "self-attention needs fewer than a GRU up to 95 tokens": "notebooks/04_self_attention#how-far-and-at-what-cost",
    "Vaswani 2017": "Attention is all you need",
    "Michel sixteen heads": "Are sixteen heads really better than one?",
    "Xiong 2020 layer normalization": "On layer normalization in the transformer architecture",
    "exercise 8.3": "notebooks/08_decoding#exercise-8-3-one-step-of-a-beam-search",
    "Exercise 14.2": "notebooks/14_speech#exercise-14-2-is-the-peak-inside-the-word",
    "exercise 21.1": "notebooks/21_explanation#exercise-21-1-attention-rollout",
    "to_patches": "notebooks/15_captioning#a-picture-as-a-sequence-the-vision-transformer",
    "log_probs_after": "notebooks/08_decoding#exercise-8-5-a-whole-beam-search",
    "naive_log_probability": "notebooks/08_decoding#the-probability-of-a-sentence",
    "多头注意力": "book/glossary#term-multi-head-attention",
    "束搜索": "book/glossary#term-beam-search",
    "教师强制": "book/glossary#term-teacher-forcing",
}
MISSED = 3  # of the others: not first or second
TEXT = 600_000  # bytes, gzipped: it is loaded with the first question only

FIRST = """question => find(question).map(({ place }) =>
    [`${place.page}#${place.anchor}`, place.heading]).slice(0, 2)"""
READY = "!/^(Reading.*)?$/.test(document.getElementById('search-said').textContent)"

Ask = Callable[[str], Page]


@pytest.fixture(params=["http", "file"], scope="module")
def root(request: pytest.FixtureRequest, address: str, site: Path) -> str:
    return address if request.param == "http" else site.as_uri()


@pytest.fixture(scope="module")
def searching(root: str, browser: Browser) -> Iterator[Page]:
    """The page of the search, opened once for all questions that only ask."""
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, root)
    page.goto(f"{root}/search.html?q=attention")
    page.wait_for_function(READY)
    yield page
    assert faults == []
    context.close()


@pytest.fixture
def ask(root: str, browser: Browser) -> Iterator[Ask]:
    """Open the page of the search with a question, as the field in the sidebar does."""
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, root)

    def open_with(question: str) -> Page:
        page.goto(f"{root}/search.html?q={question}")
        page.wait_for_function(READY)
        return page

    yield open_with
    assert faults == []
    context.close()


def leads_to(searching: Page, question: str, wanted: str) -> bool:
    first = searching.evaluate(FIRST, question)
    return any(place == wanted or wanted in heading for place, heading in first)


@pytest.mark.parametrize(("question", "wanted"), QUESTIONS.items())
def test_a_question_of_every_kind_finds_its_place(
    question: str, wanted: str, searching: Page
) -> None:
    assert leads_to(searching, question, wanted), searching.evaluate(FIRST, question)


def test_other_questions_find_theirs_too(searching: Page) -> None:
    missed = [asked for asked, wanted in OTHERS.items() if not leads_to(searching, asked, wanted)]
    assert len(missed) <= MISSED, missed


@pytest.mark.parametrize(
    ("question", "chapter"),
    [
        ("self attention", "notebooks/04_self_attention#self-attention"),
        ("self-attention", "notebooks/04_self_attention#self-attention"),
        ("super resolution", "notebooks/17_super_resolution#super-resolution"),
        ("multi head attention", "notebooks/05_multi_head#multi-head-attention"),
    ],
)
def test_a_name_with_a_hyphen_or_a_blank_leads_to_its_chapter_first(
    question: str, chapter: str, searching: Page
) -> None:
    assert searching.evaluate(FIRST, question)[0][0] == chapter


def test_letters_and_their_accents_are_compared_as_one(searching: Page) -> None:
    whole, apart = "fünfzig", "fu\N{COMBINING DIAERESIS}nfzig"
    assert searching.evaluate(FIRST, whole) == searching.evaluate(FIRST, apart) != []


def test_a_result_leads_into_its_section_and_says_where_and_why(ask: Ask) -> None:
    page = ask("exercise 3.2")
    first = page.locator("#search-results li").first
    heading = "3. Queries, keys and values › Exercise 3.2: Two masks in one"
    assert first.locator("a").inner_text() == heading
    assert "exercise" in [mark.lower() for mark in first.locator("mark").all_inner_texts()]
    first.locator("a").click()
    page.wait_for_url("**/notebooks/03_queries_keys_values.html#exercise-3-2-two-masks-in-one")
    page.wait_for_function(
        "Math.abs(document.querySelector(':target').getBoundingClientRect().top) < innerHeight / 2"
    )
    page.wait_for_load_state("networkidle")


def test_the_sentence_of_a_claim_leads_to_its_box(ask: Ask) -> None:
    page = ask("one vector of 64 numbers is enough for numbers of 3 digits")
    first = page.locator("#search-results li").first
    assert "Claim" in first.inner_text()
    first.locator("a").click()
    page.wait_for_url("**/01_context_vector.html#claim-one-vector-of-64-numbers-*")
    assert "claim" in str(page.locator(":target").get_attribute("class"))
    page.wait_for_load_state("networkidle")


def test_a_solution_is_found_and_not_told(ask: Ask) -> None:
    page = ask("solution_split")
    first = page.locator("#search-results li").first
    assert "Exercise 5.1" in first.inner_text()
    assert "folded" in first.inner_text()
    assert first.locator("p").count() == 0


def test_what_is_typed_is_searched_at_once_and_stands_in_the_address(ask: Ask) -> None:
    page = ask("")
    assert page.locator("#search-results li").count() == 0
    page.keyboard.type("beam search")  # the field has the focus
    page.locator("#search-results a", has_text="Glossary › beam search").wait_for()
    page.wait_for_url("**?q=beam+search")


def test_arrows_and_enter_are_enough(ask: Ask) -> None:
    page = ask("attention")
    focused = "document.activeElement.textContent"
    links = page.locator("#search-results a").all_inner_texts()
    for key, wanted in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == links[wanted]
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == links[0]
    more = page.locator("#search-more")
    shown = page.locator("#search-results li").count()
    more.press("Enter")
    assert page.locator("#search-results li").count() > shown
    assert page.evaluate(focused) == page.locator("#search-results a").nth(shown).inner_text()


def test_where_nothing_is_found_it_says_what_to_try(ask: Ask) -> None:
    page = ask("atention")
    said = page.locator("#search-said")
    assert said.inner_text().startswith(
        "Nothing in the book fits “atention”. Did you mean attention"
    )
    said.locator("a", has_text="attention").first.click()
    page.wait_for_url("**?q=attention")
    page.locator("#search-results li").first.wait_for()
    assert "glossary" in ask("qqzzxx").locator("#search-said").inner_text()


def test_markup_in_a_question_is_text(ask: Ask) -> None:
    page = ask("%3Cimg src=x onerror=document.title='no'%3E zzqq")
    assert page.locator(".bd-search-container img").count() == 0
    assert page.title() != "no"


def test_results_are_accessible_and_fit_a_phone(browser: Browser, address: str) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{address}/search.html?q=softmax(QK^T")
    page.wait_for_function(READY)
    assert violations(page) == {"night": [], "day": []}
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_a_question_without_end_is_broken_into_lines(ask: Ask) -> None:
    page = ask("x" * 500)
    assert "x" * 500 in page.locator("#search-said").inner_text()
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_of_the_search_has_a_title_and_ids_as_others_have(site: Path) -> None:
    soup = BeautifulSoup((site / "search.html").read_text("utf-8"), "lxml")
    ids = [part["id"] for part in soup.find_all(id=True)]
    assert sorted(ids) == sorted(set(ids))
    assert soup.title is not None and soup.title.get_text() == "Search — minattn"


def test_the_text_is_loaded_for_the_first_question_only(ask: Ask) -> None:
    page = ask("")
    assert page.evaluate("places.length") == 0
    page.keyboard.type("key")
    page.locator("#search-results li").first.wait_for()


def test_the_text_is_light_and_no_other_page_loads_it(site: Path) -> None:
    text = (site / "_static" / "search-text.js").read_bytes()
    assert len(gzip.compress(text)) <= TEXT
    loading = [
        path.relative_to(site).as_posix()
        for path in site.rglob("*.html")
        if "_static/search.js" in path.read_text("utf-8")
    ]
    assert loading == ["search.html"]
    left = [path.name for path in site.rglob("*.js") if "search" in path.name.lower()]
    assert sorted(left) == ["search-text.js", "search.js"]
