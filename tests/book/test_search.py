"""What the search reads: every place of a page, and what is told of it."""

import ast

import pytest
from bs4 import BeautifulSoup

from book._ext.minattn_site.messages import messages_in
from book._ext.minattn_site.search import in_letters, places_of

PAGE = """
<article><section id="pooling"><h1><span class="chapter-number">8.</span> Pooling<a class="headerlink">#</a></h1>
<p>One <em>query</em> for all: <span class="math">\\(Q K^\\top\\)</span>.</p>
<div class="cell tag_hide-input"><details class="hide"><summary><p>Show the code</p></summary>
<div class="cell_input"><div class="highlight"><pre>pool(x)
y = 1</pre></div></div></details>
<div class="cell_output"><div class="output text_html"><div class="claim" id="claim-it-pools"><span>✓</span> it pools
<span class="claim-bar">(at least 1)</span><a class="place-link">#</a></div></div>
<div class="output stream"><div class="highlight"><pre>step  10</pre></div></div>
<img alt="Two heads"></div></div>
<section id="inside"><h2>Inside <code>pool</code></h2><p>Deeper.</p>
<div class="math" id="formula-1">\\[\\frac{a}{b}\\]</div>
<section id="exercise-8-1"><h3>Exercise 8.1</h3><p>Do it.</p>
<details><summary>Hint 1</summary><p>Try it twice, twice.</p></details>
<div class="cell tag_hide-cell"><details class="hide"><summary><p>Show</p></summary>
<div class="cell_input"><div class="highlight"><pre># Solution 7</pre></div></div></details></div>
</section></section></section>
<dl class="glossary"><dt id="term-key">key (键)<a class="headerlink">#</a></dt><dd><p>What is asked.</p></dd></dl>
<dl class="py"><dt class="sig" id="minattn.a.Layer.step"><span>step</span>(x)</dt><dd><p>Go on.</p></dd></dl>
<div class="citation" id="id7"><span class="label">[7]</span><p>Ann B. Cole, Di Ek, and Flo Gu. Is it all
you need? In Proceedings, 1–9. 2015. arXiv:1409.0473.</p></div></article>
"""


@pytest.fixture(scope="module")
def records():
    article = BeautifulSoup(PAGE, "lxml").article
    return {place.anchor: place.record() for place in places_of(article)}


def test_places_are_sections_terms_names_and_references_in_order(records):
    assert {anchor: record[1] for anchor, record in records.items()} == {
        "pooling": "8. Pooling",
        "inside": "Inside pool",
        "exercise-8-1": "Exercise 8.1",
        "term-key": "key (键)",
        "minattn.a.Layer.step": "Layer.step",
        "id7": "Cole et al. (2014, 2015): Is it all you need?",
    }


def test_the_words_of_a_place_are_its_own(records):
    assert records["pooling"][2] == "One query for all: QK^T."
    assert records["inside"][2] == "Deeper."
    assert records["term-key"][2] == "What is asked."
    assert records["minattn.a.Layer.step"][2] == "step(x) Go on."
    assert "Di Ek" in records["id7"][2]


def test_code_outputs_claims_pictures_and_formulas_are_read(records):
    assert records["pooling"][3:] == [
        ["code", "pool(x) y = 1"],
        ["claim", "it pools (at least 1)", "claim-it-pools"],
        ["output", "step 10"],
        ["picture", "Two heads"],
    ]
    assert records["inside"][3:] == [["formula", "(a)/(b)", "formula-1"]]


def test_hints_and_solutions_are_found_but_not_told(records):
    assert records["exercise-8-1"][2] == "Do it."
    assert records["exercise-8-1"][3:] == [["folded", "hint solution try twice"]]


@pytest.mark.parametrize(
    ("formula", "typed"),
    [
        (
            r"\[\operatorname{softmax}\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V\]",
            "softmax((QK^T)/(sqrt(d_k)))V",
        ),
        (r"\alpha_{ij} = \exp e_{ij}", "alpha_ij=exp e_ij"),
        (r"\log p(y \mid x)", "log p(y mid x)"),
        (r"a \\ b, \qquad c", "a;b,c"),
    ],
)
def test_a_formula_is_kept_as_one_would_type_it(formula, typed):
    assert in_letters(formula) == typed


def test_error_messages_are_found_by_the_name_in_whose_code_they_stand():
    code = """
def one(x):
    raise ValueError(
        "x must fit, "
        f"got {x:g} of {', '.join(x)}"
    )
class Two:
    def three(self):
        raise RuntimeError("no")
    def four(self):
        raise other
        raise ValueError(text)
"""
    assert list(messages_in(ast.parse(code), "minattn.m")) == [
        ("minattn.m.one", "x must fit, got … of …"),
        ("minattn.m.Two.three", "no"),
    ]
