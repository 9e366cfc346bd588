import re
import xml.etree.ElementTree as ET

import pytest
import torch
from torch import nn

from minattn import drawings
from minattn.decoding import beam_search
from minattn.drawing import Box, Drawing
from minattn.drawings import pointer
from minattn.drawings.decoding import _BRANCHES
from minattn.language.pointer import mixture
from minattn.multihead import MultiHeadAttention
from minattn.subwords import Subwords
from minattn.transformer import FeedForward, Residual, TransformerTranslator
from minattn.translation import Memory, Translator
from minattn.vocabulary import SPECIALS

GERMAN, ENGLISH = "drei und zwanzig <eos>".split(), "twenty three <eos>".split()
WRITTEN = ["one", "hundred", "twenty", "<eos>"]
MERGES = [("t", "e"), ("i", "te"), ("e", "ite"), ("ite", "l"), ("t", "itel")]
NOTATIONS = "vier tausend drei = 4 0 0 3".split()
NAMED = {
    "encoder_decoder": lambda **how: drawings.encoder_decoder(GERMAN, ENGLISH, **how),
    "before_and_after": drawings.before_and_after,
    "alone_and_taught": drawings.alone_and_taught,
    "soft_lookup": drawings.soft_lookup,
    "queries_meet_keys": drawings.queries_meet_keys,
    "split_and_merge": drawings.split_and_merge,
    "sum_of_heads": drawings.sum_of_heads,
    "roles_in_a_list": drawings.roles_in_a_list,
    "transformer": drawings.transformer,
    "pre_and_post": drawings.pre_and_post,
    "growing_cache": drawings.growing_cache,
    "beams": drawings.beams,
    "greedy_frames": lambda **how: drawings.greedy_frames(WRITTEN, **how),
    "merging": lambda **how: drawings.merging("▁Seitentitel", MERGES, **how),
    "training_step": drawings.training_step,
    "decoder_alone": drawings.decoder_alone,
    "text_to_text": drawings.text_to_text,
    "both_sides": lambda **how: drawings.both_sides(NOTATIONS, 2, **how),
    "pointer_generator": drawings.pointer_generator,
    "listener": drawings.listener,
    "object_queries": drawings.object_queries,
    "captioner": drawings.captioner,
    "where_and_what": drawings.where_and_what,
    "two_eyes": drawings.two_eyes,
    "two_towers": drawings.two_towers,
    "words_to_picture": drawings.words_to_picture,
    "online_softmax": drawings.online_softmax,
    "ring": drawings.ring,
}
PARTS = {
    "encoder_decoder": ["encoder", "context", "decoder"],
    "before_and_after": ["before the step", "after the step"],
    "alone_and_taught": ["teacher forcing", "writing alone"],
    "soft_lookup": ["scores", "weights", "output"],
    "queries_meet_keys": ["queries", "keys", "values"],
    "split_and_merge": ["split", "attend", "merge"],
    "sum_of_heads": ["one product", "a sum of four"],
    "roles_in_a_list": [
        *("previous letter", "same letter", "after the same letter", "first letter"),
    ],
    "pre_and_post": ["pre-norm", "post-norm"],
    "growing_cache": ["query", "new rows", "kept rows"],
    "beams": ["kept", "dropped", "finished"],
    "greedy_frames": ["read so far", "last row", "appended"],
    "merging": ["letters", "merges", "pieces"],
    "both_sides": ["left alone", "both sides"],
    "pointer_generator": ["vocabulary", "mixture", "pointer"],
    "training_step": ["forward", "loss", "backward", "clipping", "optimizer", "schedule"],
    "decoder_alone": ["keys", "query", "guess"],
    "text_to_text": ["biases", "encoder", "decoder"],
    "object_queries": ["queries", "picture", "answers", "matching"],
    "captioner": ["cells", "looking", "words"],
    "where_and_what": ["where", "what"],
    "two_eyes": ["asking", "answering", "painting"],
    "two_towers": ["pictures", "sentences", "scores"],
    "words_to_picture": ["words", "codes", "picture"],
    "online_softmax": ["query", "blocks", "memory"],
    "ring": ["queries", "keys"],
    "listener": ["frames", "convolutions", "steps", "decoder"],
    "transformer": [
        *("embedding", "encoder block", "decoder block", "self-attention", "cross-attention"),
        *("feed-forward", "norms", "residuals", "memory", "readout"),
    ],
}
each = pytest.mark.parametrize("name", NAMED)
each_part = pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, parts in PARTS.items() for part in parts]
)


def root(drawing):
    """Read a drawing as what it is inside a page: well-formed."""
    return ET.fromstring(drawing.svg())


def words(drawing):
    return ["".join(text.itertext()) for text in root(drawing).iter("text")]


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def tips(drawing):
    """The tip of each arrow head: the first point of a path that is filled."""
    return [
        tuple(numbers(path.get("d"))[:2])
        for path in root(drawing).iter("path")
        if path.get("fill") == "currentColor"
    ]


def rectangles(drawing):
    return [
        Box(*(float(rect.get(name)) for name in ("x", "y", "width", "height")))
        for rect in root(drawing).iter("rect")
    ]


def on_border(point, box, near=0.11):  # both are rounded to a tenth
    (x, y), (right, bottom) = point, box.at(1, 1)
    inside = box.left - near <= x <= right + near and box.top - near <= y <= bottom + near
    return (
        inside and min(abs(x - box.left), abs(x - right), abs(y - box.top), abs(y - bottom)) <= near
    )


@pytest.fixture
def d():
    return Drawing(200, 100, "Two boxes")


# Every drawing of the book


@each
def test_a_drawing_is_an_image_that_is_told_in_words(name):
    svg = root(NAMED[name]())
    assert svg.tag == "svg"
    assert svg.get("role") == "img"
    assert svg[0].tag == "title"
    assert len(svg[0].text.split()) > 20


@each
def test_a_page_may_hold_a_drawing_twice(name):
    assert not [element for element in root(NAMED[name]()).iter() if element.get("id")]


@each
def test_a_drawing_is_the_same_every_time_without_long_numbers(name):
    svg = NAMED[name]().svg()
    assert svg == NAMED[name]().svg()
    assert not re.search(r"\d\.\d{3}|\de[+-]?\d", svg)


@each
def test_a_drawing_is_narrow_enough_to_be_read_on_a_phone(name):
    drawing = NAMED[name]()
    least = min(float(e.get("font-size")) for e in root(drawing).iter() if e.get("font-size"))
    assert least * 343 / drawing.width >= 9


@each
def test_every_arrow_ends_on_a_border(name):
    drawing = NAMED[name]()
    assert tips(drawing) if name != "alone_and_taught" else not tips(drawing)
    for tip in tips(drawing):
        assert any(on_border(tip, box) for box in rectangles(drawing)), tip


@each
def test_no_box_lies_on_another(name):
    boxes = rectangles(NAMED[name]())
    for number, a in enumerate(boxes):
        for b in boxes[:number]:
            apart = max(
                max(a.left, b.left) - min(a.left + a.width, b.left + b.width),
                max(a.top, b.top) - min(a.top + a.height, b.top + b.height),
            )
            assert apart > 0, (a, b)


@each
def test_colours_come_from_the_page(name):
    svg = NAMED[name](lit=PARTS[name][0]).svg()
    found = set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))
    assert found <= {"none", "currentColor", "var(--paper, var(--jp-layout-color0, #fff))"}


@each_part
def test_what_is_lit_is_told_by_more_than_colour(name, part):
    groups = list(root(NAMED[name](lit=part)).iter("g"))
    every = [g for g in groups if g.get("class") == "lit"]
    assert every
    assert all(float(g.get("stroke-width")) > 2 and g.get("font-weight") == "700" for g in every)
    assert len(every) < len(groups)


@each_part
def test_a_small_drawing_says_where_the_reader_is(name, part):
    small = NAMED[name](lit=part, small=True)
    assert words(small) == [f"here: {part}"]
    assert root(small)[0].text.startswith(f"You are here: {part}. ")
    assert root(small).get("width") == "200"
    assert len(rectangles(small)) == len(rectangles(NAMED[name]()))


@each
def test_an_unknown_part_is_told(name):
    with pytest.raises(ValueError, match=r"lit must be one of \['.*got 'cellar'"):
        NAMED[name](lit="cellar").svg()


@each
def test_parts_are_known(name):
    assert sorted(NAMED[name]().parts) == sorted(PARTS[name])


# What single drawings say


def test_the_decoder_reads_what_it_wrote():
    assert [w for w in words(NAMED["encoder_decoder"]()) if w in (*GERMAN, *ENGLISH, "<bos>")] == [
        *GERMAN,
        *("<bos>", "twenty", "twenty", "three", "three", "<eos>"),
    ]


def test_the_context_reaches_the_first_state_and_every_step():
    drawing = NAMED["encoder_decoder"]()
    from_above = [(x, y) for x, y in tips(drawing) if y == 210]
    states = [box for box in rectangles(drawing) if box.top == 210]
    assert len(states) == len(from_above) == 4
    assert all(on_border(tip, box) for tip, box in zip(from_above, states, strict=True))


def test_what_is_read_when_the_model_writes_alone_is_dotted():
    paths = root(NAMED["encoder_decoder"]()).iter("path")
    assert len([path for path in paths if path.get("stroke-dasharray")]) == len(ENGLISH) - 1


@pytest.mark.parametrize("count", [1, 2, 7])
def test_sentences_may_have_any_length(count):
    drawing = drawings.encoder_decoder(["siebenhundert"] * count, ["seven"] * count)
    assert words(drawing).count("siebenhundert") == count


def test_arrows_are_numbered_in_the_order_of_time():
    numbered = [word for word in words(drawings.before_and_after()) if word.isdecimal()]
    assert sorted(numbered) == sorted([*"123455"] * 2)


def test_only_taught_and_after_the_step_one_call_fills_all():
    frames = [box.height / 16 for box in rectangles(drawings.alone_and_taught())]
    assert frames == [3] + [1] * 9


def test_matrices_are_to_scale():
    shapes = {(box.height / 13, box.width / 13) for box in rectangles(drawings.soft_lookup())}
    assert {(2, 3), (5, 3), (2, 5), (5, 4), (2, 4)} <= shapes


def cells(drawing, cell=6):
    """The shapes of what is drawn to scale, in rows and columns."""
    shapes = ((box.height / cell, box.width / cell) for box in rectangles(drawing))
    return [shape for shape in shapes if all(n == round(n) for n in shape) and shape[0] < 6]


def test_four_heads_are_as_wide_as_what_was_cut():
    assert cells(drawings.split_and_merge()) == [(5, 16), *[(5, 4)] * 8, (5, 16)]
    into = [tip for tip in tips(drawings.split_and_merge()) if tip[1] == 285]
    assert sorted(x for x, _ in into) == [173.5, 197.5, 221.5, 245.5]  # a quarter for each


def test_the_output_projection_is_a_product_and_a_sum_of_four():
    found, band, output = (5, 4), (4, 16), (5, 16)
    once = [*[found] * 4, *[band] * 4, output]
    assert cells(drawings.sum_of_heads()) == [*once, *[found, band, output] * 4, output]


def test_the_roles_are_where_the_experiment_has_them():
    drawing = drawings.roles_in_a_list()
    tokens = [box.at(0.5, 0)[0] for box in rectangles(drawing)]
    place, length = 7, 4
    wanted = [place - 1, place - length, place - length + 1, 1]
    assert [tokens.index(pytest.approx(x, abs=0.11)) for x, _ in tips(drawing)] == wanted


def test_the_transformer_has_the_parts_of_the_package_s():
    modules = list(TransformerTranslator(9, 9).modules())

    def made(kind):
        return len([module for module in modules if isinstance(module, kind)])

    drawn = words(drawings.transformer())
    assert sum(word in ("norm", "last norm") for word in drawn) == made(nn.LayerNorm)
    assert sum(word.endswith("-attention") for word in drawn) == made(MultiHeadAttention)
    assert drawn.count("feed-forward") == made(FeedForward)
    assert drawn.count("+") == made(Residual)


def test_two_arrows_lead_from_the_memory_and_one_from_the_norm_into_cross_attention():
    drawing = drawings.transformer()
    boxes = [box for box in rectangles(drawing) if (box.width, box.height) == (118, 45)]
    (cross,) = (box for box in boxes if [box.left, box.top] == [245, min(b.top for b in boxes)])
    into = [tip for tip in tips(drawing) if on_border(tip, cross)]
    assert sum(x == cross.left for x, _ in into) == 2
    assert sum(y == cross.top + cross.height for _, y in into) == 1


@pytest.mark.parametrize("place", ["pre", "post"])
def test_what_is_written_as_the_result_is_what_a_residual_makes(place):
    residual, x = Residual(4, norm=place), torch.tensor([[3.0, -1, 2, 0]])
    formulas = [word for word in words(drawings.pre_and_post()) if "norm(" in word]
    formula = formulas[["pre", "post"].index(place)]
    known = {"x": x, "f": torch.exp, "norm": residual.norm}
    assert torch.equal(eval(formula, known), residual(x, torch.exp))


def test_both_ways_around_a_sub_layer_are_numbered():
    numbered = [word for word in words(drawings.pre_and_post()) if word.isdecimal()]
    assert numbered == [*"123123"]


def test_a_step_of_training_goes_round_in_the_order_of_time():
    drawn = words(drawings.training_step())
    assert [word for word in drawn if word.isdecimal()] == [*"1234567"]
    boxes = ["batch", "model:", "logits", "loss: mean", "gradient", "clip:", "AdamW"]
    assert [word for word in drawn if word in boxes] == boxes


def test_loss_and_optimizer_take_two_arrows_each():
    drawing = drawings.training_step()
    into = [sum(on_border(tip, box) for tip in tips(drawing)) for box in rectangles(drawing)]
    assert sorted(into) == [0, 0, 1, 1, 1, 2, 2, 2]  # model, loss and optimizer


def test_key_and_value_grow_by_one_row_and_the_query_is_one():
    drawing = drawings.growing_cache()
    rows = {}
    for box in rectangles(drawing):
        if box.width == 3 * 13:
            rows.setdefault(box.left, []).append((box.top, round(box.height / 13)))
    steps = [[height for _, height in sorted(found)] for _, found in sorted(rows.items())]
    assert steps == [
        [1, 1, 1],
        [1, 1, 1, 1, 1],
        [1, 2, 1, 2, 1],
    ]  # query, kept and new key, and value
    shapes = [word for word in words(drawing) if "dhead" in word]
    assert shapes == [f"({n}, dhead)" for step in (1, 2, 3) for n in (1, step, step)]
    assert (words(drawing).count("kept"), words(drawing).count("new")) == (4, 6)


class Tree(Translator):
    """Says after each target what the drawn tree says, and gives the rest to a word that is not drawn."""

    vocabulary = (*SPECIALS, "three", "twenty", "thirty", "hundred", "and", "other")

    def encode(self, source, source_mask=None):
        return Memory(source[..., None].float(), source > 0)

    def start(self, memory):
        return (torch.zeros(len(memory.mask), 0, dtype=torch.long),)

    def step(self, token, state, memory):
        read = torch.cat([state[0], token[:, None]], dim=1)
        return torch.stack([self.after(ids) for ids in read.tolist()]), (read,)

    def after(self, ids):
        said = " ".join(self.vocabulary[n] for n in ids[1:])
        probabilities = torch.zeros(len(self.vocabulary))
        for _, target, log_prob in _BRANCHES[len(ids) - 1]:
            before, _, word = target.rpartition(" ")
            if before == said:
                probabilities[self.vocabulary.index(word)] = torch.tensor(log_prob).exp()
        probabilities[-1] = 1 - probabilities.sum()
        assert probabilities[-1] >= 0
        return probabilities.log()


def test_the_tree_of_beams_is_what_beam_search_does():
    drawn = words(drawings.beams())
    for steps, branches in enumerate(_BRANCHES, 1):
        found = beam_search(Tree(), torch.tensor([[3]]), steps, n_beams=2)
        best = {
            " ".join(Tree.vocabulary[n] for n in ids): f"{total:.1f}"
            for ids, total in zip(found.ids[0].tolist(), found.log_probs[0].tolist(), strict=True)
        }
        for _, target, log_prob in branches:
            place = drawn.index(target.split()[-1])
            word, branch, total, fate = drawn[place : place + 4]
            del drawn[place : place + 4]
            assert (word, branch) == (target.split()[-1], f"{log_prob:.1f}".replace("-", "−"))
            assert fate == ("kept" if target in best else "dropped")
            if target in best:
                assert total == best[target].replace("-", "−")
            assert f"{total}, " in drawings.beams().alt.replace("-", "−") or target.endswith(
                "<pad>"
            )


def test_what_beams_drop_is_dashed():
    dashed = [r for r in root(drawings.beams()).iter("rect") if r.get("stroke-dasharray")]
    assert len(dashed) == words(drawings.beams()).count("dropped") == 4


def test_each_frame_reads_one_token_more_and_uses_the_last_row():
    drawing = drawings.greedy_frames(WRITTEN)
    texts = words(drawing)
    for n in range(1, 5):
        place = texts.index("decoder")
        frame = texts[place : texts.index("largest", place) + 1]
        tokens = [word for word in frame if word in ("<bos>", *WRITTEN)]
        assert tokens == ["<bos>", *WRITTEN[: n - 1], WRITTEN[n - 1]]
        assert frame.count("not used") == n - 1
        del texts[place : place + len(frame)]
    rows = [box for box in rectangles(drawing) if box.height == 13]
    decoders = [box for box in rectangles(drawing) if box.width == 72 and box.height % 28 == 0]
    assert [box.height / 28 for box in decoders] == [1, 2, 3, 4]
    assert len(rows) == 1 + 2 + 3 + 4


@pytest.mark.parametrize("count", [1, 5])
def test_a_target_may_have_any_length(count):
    drawing = drawings.greedy_frames(["dreiundzwanzig"] * count)
    dotted = [p for p in root(drawing).iter("path") if p.get("stroke-dasharray")]
    assert len(dotted) == count - 1


@pytest.mark.rejects
@pytest.mark.parametrize("target", [[], "three"])
def test_no_tokens_are_told(target):
    with pytest.raises(ValueError, match="target must be a list of at least one token, got"):
        drawings.greedy_frames(target)


@pytest.mark.rejects
@pytest.mark.parametrize(("source", "target"), [([], ["a"]), (["a"], []), ("drei", ["a"])])
def test_no_words_are_told(source, target):
    with pytest.raises(ValueError, match="must be a list of at least one word, got"):
        drawings.encoder_decoder(source, target)


# The pen


def test_a_notebook_shows_the_drawing_and_keeps_its_words(d):
    assert d._repr_html_() == d.svg()
    assert repr(d) == "Drawing: Two boxes"


def test_signs_of_markup_are_words(d):
    d.token(100, 50, "<&_x>")
    assert words(d) == ["<&_x>"]
    assert not list(root(d).iter("tspan"))


def test_labels_have_subscripts(d):
    d.box(100, 50, "s_{t-1} + d_v", 90)
    low = [t.text for t in root(d).iter("tspan") if t.get("font-size")]
    assert low == ["t-1", "v"]
    assert sum(float(t.get("dy", 0)) for t in root(d).iter("tspan")) in (0, 4)
    assert words(d) == ["st-1 + dv"]


def test_a_box_is_as_high_as_its_text_or_higher(d):
    assert [d.box(50, 50, "a\nb", height=high).height for high in (0, 30, 60)] == [45, 45, 60]


def test_a_token_may_be_dashed(d):
    d.token(50, 50, "a", dashed=True)
    assert next(root(d).iter("rect")).get("stroke-dasharray")


def test_an_arrow_is_straight_where_both_are_level(d):
    a, b = d.box(30, 40, "", 40), d.box(150, 46, "", 40)
    d.arrow(a, b)
    assert tips(d) == [(130, 43)]


@pytest.mark.parametrize("place", [(150, 20), (150, 80), (60, 84)])
def test_a_slanted_arrow_ends_on_the_border_too(d, place):
    a, b = d.box(25, 30, "", 40), d.box(*place, "", 40)
    d.arrow(a, b)
    assert on_border(tips(d)[0], b)


def test_an_arrow_by_way_of_corners_leaves_straight(d):
    a, b = d.box(30, 20, "", 40), d.box(100, 80, "", 40)
    d.arrow(a, b, [(90, 20), (90, 50)])
    assert tips(d) == [(90, 66)]
    assert numbers(next(root(d).iter("path")).get("d"))[:4] == [50, 20, 90, 20]


def test_a_dotted_arrow_and_a_line_without_a_head(d):
    d.arrow((10, 10), (90, 10), dotted=True)
    d.arrow((10, 20), (90, 20), head=False)
    dotted, _, line = root(d).iter("path")
    assert dotted.get("stroke-dasharray")
    assert not line.get("stroke-dasharray")
    assert len(tips(d)) == 1


def test_what_belongs_to_two_parts_is_lit_with_either():
    for lit in "ab":
        drawing = Drawing(100, 50, "One box", lit)
        with drawing.part("a", "b"):
            drawing.box(50, 25, "x")
        assert 'class="lit"' in drawing.svg()


@pytest.mark.parametrize(
    ("word", "merges"),
    [
        ("▁Seitentitel", MERGES),
        ("▁weiter", MERGES),
        ("itete", MERGES),
        ("banana", [("n", "a"), ("a", "na"), ("a", "n"), ("b", "an")]),
    ],
)
def test_a_word_is_joined_as_the_package_cuts_it(word, merges):
    drawing = drawings.merging(word, merges)
    shown, text = words(drawing), Subwords(tuple("▁Seitnlwrab"), tuple(merges))
    assert shown[1 : 1 + len(word)] == list(word)
    assert shown[shown.index("pieces") + 1 :] == list(text._cut(word))
    used = [shown.index(name) for name in shown if re.match(r"\d\. ", name)]
    assert used == sorted(used)
    made = len(word) - len(text._cut(word))  # each merge makes one piece less
    assert len(tips(drawing)) == 2 * made + len(text._cut(word))


def test_a_merge_has_the_number_of_its_place_in_the_list():
    shown = words(drawings.merging("▁weiter", MERGES))
    assert [word for word in shown if re.match(r"\d", word)] == [
        "1. t + e",
        "2. i + te",
        "3. e + ite",
    ]


def test_each_piece_stands_below_its_letters():
    drawing = drawings.merging("itete", MERGES)
    *letters, te, other, ite, first, second = (box.at(0.5, 0)[0] for box in rectangles(drawing))
    assert te == pytest.approx(sum(letters[1:3]) / 2, abs=0.2)
    assert other == pytest.approx(sum(letters[3:]) / 2, abs=0.2)
    assert ite == first == pytest.approx(letters[1], abs=0.2)
    assert second == other


@pytest.mark.parametrize("hidden", [1, 4, 6])
def test_from_the_left_a_token_is_told_by_those_before_it_and_from_both_sides_by_all(hidden):
    drawing = drawings.both_sides(NOTATIONS, hidden)
    assert len(tips(drawing)) == hidden + len(NOTATIONS)
    assert words(drawing).count("<mask>") == words(drawing).count("?") == 1


def test_the_output_of_the_pointer_is_the_mixture_of_what_feeds_it():
    drawing = drawings.pointer_generator()
    assert {f"vocabulary, times {pointer.GATE:g}", f"times {1 - pointer.GATE:g}"} <= {
        *words(drawing)
    }
    known, weights = (
        torch.tensor([[[*part.values()]]]) for part in (pointer.KNOWN, pointer.WEIGHTS)
    )
    gate, source = torch.tensor([[pointer.GATE]]).logit(), torch.tensor([[3, 2, 4]])
    wanted = mixture(known.log(), gate, weights, source).exp().flatten().tolist()
    mixed = [float(word) for word in words(drawing) if re.fullmatch(r"0\.\d\d", word)]
    assert mixed == pytest.approx(wanted, abs=0.005)
    assert len(tips(drawing)) == 2 * (len(pointer.KNOWN) + len(pointer.WEIGHTS))


REJECTED = {
    "hidden must be a place between the first and the last, 1 to 6, got 0": lambda d: (
        drawings.both_sides(NOTATIONS, 0)
    ),
    "1 to 6, got 7": lambda d: drawings.both_sides(NOTATIONS, 7),
    "a merge must be found in 'xyz', got": lambda d: drawings.merging("xyz", MERGES),
    "width and height must be above 0, got 0 and 100": lambda d: Drawing(0, 100, "x"),
    "alt must say what is to be seen, got ' '": lambda d: Drawing(9, 9, " "),
    "lit must name a part, got None": lambda d: Drawing(9, 9, "x", small=True),
    "a box must lie inside the drawing of 200 x 100, got 180 to 220": lambda d: d.box(
        200, 50, "", 40
    ),
    "the text 'long words' must lie inside": lambda d: d.text(190, 50, "long words"),
    "the text 'a' must lie inside the drawing of 200 x 100, got -4.4 to": lambda d: d.text(
        0, 50, "a"
    ),
    "a box must be as wide as its text, 'long words' needs": lambda d: d.box(
        100, 50, "long words", 20
    ),
    "rows of a matrix must be at least 1, got 0": lambda d: d.matrix(50, 50, 0, 3),
    "columns of a matrix must be at least 1, got -1": lambda d: d.matrix(50, 50, 2, -1),
    "anchor must be one of .*, got 'left'": lambda d: d.text(50, 50, "x", "left"),
    "an arrow must be longer than its head, got": lambda d: d.arrow((10, 10), (14, 10)),
    "an arrow must lie inside the drawing": lambda d: d.arrow((10, 10), (10, 140)),
    "an arrow must leave its box, got": lambda d: d.arrow(d.box(50, 50, "", 40), (52, 50)),
}


@pytest.mark.rejects
@pytest.mark.parametrize("match", REJECTED)
def test_what_does_not_fit_is_told(d, match):
    with pytest.raises(ValueError, match=match):
        REJECTED[match](d)


@pytest.mark.rejects
def test_a_part_in_a_part_is_told(d):
    with (
        pytest.raises(ValueError, match="must not lie in another"),
        d.part("a"),
        d.part("b"),
    ):
        pass


def test_in_a_decoder_alone_a_key_is_fed_by_two_tokens_and_the_query_by_all_keys():
    drawing = NAMED["decoder_alone"]()
    boxes = rectangles(drawing)
    keys = [box for box in boxes if box.width == 52]
    into = [sum(on_border(tip, key) for tip in tips(drawing)) for key in keys]
    assert into == [1, 2, 2, 2, 2]
    (query,) = (box for box in boxes if box.width == 64)
    assert sum(on_border(tip, query) for tip in tips(drawing)) == len(keys)


def test_in_the_listener_five_feed_one_and_attention_is_fed_by_all_steps():
    drawing = NAMED["listener"]()
    boxes, heads = rectangles(drawing), tips(drawing)
    rows = [[box for box in boxes if box.width == width] for width in (11, 20, 32, 44)]
    assert list(map(len, rows)) == [24, 12, 6, 3]
    for row, place in zip(rows[1:3], (4, 2), strict=True):
        fed = [sum(on_border(tip, box) for tip in heads) for box in row]
        assert fed == [5 if n == place else 0 for n in range(len(row))]
        assert row[place].at(0.5, 0)[0] == rows[0][8].at(0.5, 0)[0]  # centred on frame 8
    between = [1, 2, 1]  # arrows from the steps beside
    assert [sum(on_border(tip, step) for tip in heads) for step in rows[3]] == [
        n + 5 * (k == 1) for k, n in enumerate(between)
    ]
    (attention,) = (box for box in boxes if box.width == 84 and box.height == 28)
    assert sum(on_border(tip, attention) for tip in heads) == len(rows[3]) + 1
    (word,) = (box for box in boxes if box.height == 24 and box.top < 40)
    assert sum(on_border(tip, word) for tip in heads) == 2  # by the state and the context
