import random
import re

import pytest

from minattn.tasks import facts as module
from minattn.tasks.facts import EVENTS, FIELDS, N_COMMON, facts
from minattn.vocabulary import EOS

TASK = facts(n_train=700, n_validation=101, n_held_out=103)
PARTS = {"train": TASK.train, "validation": TASK.validation, "test": TASK.held_out}
HEADLINE = re.compile(r"(\w+) : (\w+) of (\w+) (.+) (\w+) , (\d{4})")


def names(examples):
    return {word for one in examples for word in one.source if word[0].isupper()}


def test_no_two_parts_have_a_name_in_common():
    found = [names(examples) for examples in PARTS.values()]
    assert min(map(len, found)) > 300
    assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]


def test_the_names_of_each_part_are_made_of_syllables_of_its_own():
    order = random.Random(0).sample(module._SYLLABLES, len(module._SYLLABLES))
    for part, examples in enumerate(PARTS.values()):
        own = "|".join(sorted(order[part::3]))
        assert all(re.fullmatch(f"({own}){{2,3}}", name.lower()) for name in names(examples))


def test_held_out_texts_have_only_names_that_are_in_no_vocabulary():
    for part in ("validation", "test"):
        assert not any(name in TASK.source for name in names(PARTS[part]))


def test_half_of_the_names_to_learn_from_are_common_ones():
    said = [word for one in TASK.train for word in one.source if word[0].isupper()]
    known = [word for word in said if word in TASK.source]
    assert len(set(known)) == N_COMMON
    assert 0.45 < len(known) / len(said) < 0.55


def test_everything_but_names_is_in_the_vocabulary():
    ordinary = {w for p in PARTS.values() for one in p for w in one.source if not w[0].isupper()}
    told = {w for p in PARTS.values() for one in p for w in one.target if not w[0].isupper()}
    assert all(word in TASK.source for word in ordinary | told)


@pytest.mark.parametrize("part", PARTS)
def test_a_headline_says_what_the_sentence_about_its_person_says(part):
    for one in PARTS[part]:
        field, name, home, event, place, year = HEADLINE.fullmatch(" ".join(one.target)).groups()
        sentences = [s for s in " ".join(one.source).split(" .") if s]
        (told,) = [s for s in sentences if re.search(rf"\b{place}\b", s)]
        assert all(word in told.split() for word in (name, home, place, year))
        assert sum(text in told for text in EVENTS[event]) == 1
        assert sum(job in told.split() for job in FIELDS[field]) == 1
        assert one.length == len(sentences) in (2, 3)


def test_field_and_event_have_to_be_said_in_other_words():
    for one in TASK.held_out:
        assert not {one.target[0], one.target[5]} & set(one.source)


def test_the_alignment_leads_to_the_same_word():
    for one in TASK.train:
        places = [(w, p) for w, p in zip(one.target, one.alignment, strict=True) if p is not None]
        assert len(places) == 4
        assert all(one.source[place] == word for word, place in places)


def test_some_texts_name_their_person_twice_and_others_do_not():
    counts = [one.source.count(one.target[2]) for one in TASK.train]
    assert set(counts) == {1, 2, 3}


def test_the_truth_points_at_the_three_names():
    batch = TASK.batch(TASK.held_out[:7])
    right = TASK.truth(batch)
    assert (right.any(-1).sum(1) == 3).all()
    for one, row, ids in zip(TASK.held_out, right, batch.target_out, strict=False):
        for word, keys in zip(one.target, row, strict=False):
            assert all(one.source[place] == word for place in keys.nonzero().flatten())
        assert not row[(ids == EOS).nonzero()].any()


def test_a_seed_makes_the_same_texts_again_and_another_seed_others():
    sizes = {"n_train": 5, "n_validation": 3, "n_held_out": 2}
    one, two = facts(**sizes), facts(**sizes)
    assert one.train + one.validation + one.held_out == two.train + two.validation + two.held_out
    assert one.source.tokens == two.source.tokens
    assert facts(**sizes).held_out != facts(**sizes, seed=1).held_out


@pytest.mark.rejects
@pytest.mark.parametrize("name", ["n_train", "n_validation", "n_held_out"])
def test_a_part_needs_a_text(name):
    with pytest.raises(ValueError, match=rf"^{name} must be at least 1, got 0$"):
        facts(**{name: 0})


@pytest.mark.rejects
def test_a_seed_below_zero_is_refused():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        facts(seed=-1)
