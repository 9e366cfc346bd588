"""What the experiments of chapter 20 ask for, hide and count."""

import torch

from book.experiments import text_to_image, text_to_image_measures, text_to_image_two
from book.experiments.measuring import n_weights
from book.experiments.text_to_image_measures import Asked, asked, found, spread, written
from book.experiments.text_to_image_sides import Recurrent, careless_codebook
from minattn.decoding import Cached
from minattn.dot_product import attend
from minattn.pictures.codebook import learn_codebook, usage
from minattn.pictures.drawing import Language, make_drawer
from minattn.tasks.digits import digits
from minattn.tasks.told_digits import WORDS, is_held_out, one_digit, strokes
from minattn.training import seeded

LANGUAGE = Language(WORDS, 128)


def test_every_digit_is_asked_for_with_every_stroke():
    what = asked(2)
    assert len(what.captions) == len(set(what.captions)) * 2 == 60
    assert (
        what.captions[8] == ("a", "plain", "one") and what.labels[8] == 1 and what.strokes[8] == 1
    )


def test_real_pictures_are_recognised_as_what_they_are_and_are_copies():
    known = digits("train")
    book = learn_codebook(known.pictures, 128)
    rows = torch.arange(30)
    how = strokes(known.pictures, known.labels)
    codes = book.encode(known.pictures)
    what = Asked(list(one_digit("train").captions[:30]), known.labels[rows], how[rows])
    judged = found(codes[rows], book, codes, what)
    assert judged["copies"] == 1 and judged["recognised"] == 1
    assert judged["nearer than real"] > 0.9 and judged["stroke"] > 0.8


def test_spread_is_the_mean_distance_of_two():
    pictures = torch.zeros(3, 8, 8, 1, dtype=torch.uint8)
    pictures[0, 0, 0] = 255
    assert abs(spread([pictures]) - 2 / 3) < 1e-6
    assert spread([pictures[1:], pictures[:1].repeat(2, 1, 1, 1)]) == 0


def test_the_models_compared_have_as_many_weights():
    attends, reads = text_to_image.make_model(LANGUAGE, 0), Recurrent(len(LANGUAGE))
    assert abs(n_weights(attends) - n_weights(reads)) < 0.03 * n_weights(attends)


def test_the_recurrent_model_reads_a_prompt_as_it_reads_the_whole():
    with seeded(1):
        model = Recurrent(len(LANGUAGE)).eval()
    codes = torch.arange(16).expand(2, 16)
    whole = LANGUAGE.sequences([("a", "bold", "two"), ("a", "thin", "six")], codes)
    state = model.start(model.encode(whole[:, :5]))
    logits, _ = model.step(whole[:, 4], state, model.encode(whole[:, :5]))
    torch.testing.assert_close(logits, model(whole[:, :1], whole[:, :-1])[:, 4])


def test_a_careless_codebook_leaves_codes_unused():
    pictures = digits("train").pictures
    careless, careful = careless_codebook(pictures, 512, 0), learn_codebook(pictures, 512)
    assert usage(careless.encode(pictures), 512).in_use < 450
    assert usage(careful.encode(pictures), 512).in_use == 512


def test_pairs_that_were_never_trained_are_asked_for_as_often():
    labels = text_to_image_two.pairs()
    assert is_held_out(labels).sum() == 300 and (~is_held_out(labels)).sum() == 360


def test_a_hidden_word_is_not_seen():
    with seeded(2):
        query, key, value = torch.randn(3, 1, 2, 5, 4)
    blind = text_to_image_two.hidden(1, attend)
    kept = [0, 2, 3, 4]
    expected = attend(query, key[:, :, kept], value[:, :, kept])
    torch.testing.assert_close(blind(query, key, value), expected)


def test_what_is_written_can_be_repeated():
    with seeded(3):
        model = Cached(make_drawer(LANGUAGE, 20).eval())
    one, two, other = (written(model, LANGUAGE, asked(1).captions, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == (30, 16) and text_to_image_measures.N_EACH == 10
