"""A fingerprint sees what changes an arm, lets alone what does not, and leaves nothing behind."""

import math

import pytest
import torch

import minattn.recipe
import minattn.tasks
import minattn.training
from book.experiments import context_vector, fingerprint, norm_place, recipe
from book.experiments.fingerprint import differences, in_short, numbers, significant
from minattn.schedules import Constant

ARM = {"d_model": 8}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def found(script=context_vector, settings=ARM):
    return fingerprint.fingerprint(script.run, settings, 0)


def test_it_is_the_beginning_of_the_whole_run():
    losses = [value for name, value in found().items() if name.startswith("step ")]
    task = minattn.tasks.number_words()
    with minattn.training.seeded(0):
        model = context_vector.RecurrentTranslator(
            len(task.source), len(task.target), attends="before", **ARM
        )
    # The rate stays what it is for half of the steps, so the first ones of a shorter training are the same.
    whole = minattn.training.fit(model, task, steps=8, batch_size=32, progress=False)
    assert losses == [significant(loss) for loss in whole[: fingerprint.STEPS]]


def test_the_same_code_gives_the_same_and_another_seed_or_width_does_not():
    once = found()
    assert once == found()
    assert differences(once, fingerprint.fingerprint(context_vector.run, ARM, 1))
    assert differences(once, found(settings={"d_model": 9}))


@pytest.mark.parametrize(
    ("place", "name", "change"),
    [
        (minattn.training, "token_loss", lambda loss: lambda *x: 1.05 * loss(*x)),
        (context_vector, "evaluate", lambda measure: lambda *x: dict.fromkeys(measure(*x), 0.5)),
        (context_vector, "BATCH_SIZE", lambda size: size + 1),
    ],
)
def test_a_change_is_seen(monkeypatch, place, name, change):
    before = found()
    monkeypatch.setattr(place, name, change(getattr(place, name)))
    assert differences(before, found())


def test_a_schedule_is_that_of_the_whole_run(monkeypatch):
    arm = recipe.ARMS["full, rate 0.003"]
    before = found(recipe, arm)
    monkeypatch.setitem(recipe.__dict__, "OneCycle", lambda steps, warm_up: Constant())
    assert differences(before, found(recipe, arm))


def test_a_training_of_its_own_is_cut_short_as_well():
    steps = [n for n in found(norm_place, next(iter(norm_place.ARMS.values()))) if "step " in n]
    assert len(steps) == fingerprint.STEPS


def test_nothing_stays_behind():
    def names():
        modules = (minattn.training, minattn.recipe, minattn.tasks, minattn.vocabulary)
        return [(key, id(x)) for module in modules for key, x in vars(module).items()]

    before = names()
    with pytest.raises(RuntimeError, match="stop"), in_short([]):
        assert names() != before
        raise RuntimeError("stop")
    assert names() == before
    assert len(minattn.tasks.number_words().held_out) > 1000


def test_numbers_have_names_and_times_have_none():
    measured = {"seed": 0, "a": {"3": 0.5}, "b": [[1, True]], "c": "words", "seconds of x": 4.0}
    assert numbers(measured) == {"seed": 0.0, "a / 3": 0.5, "b / 0 / 0": 1.0, "b / 0 / 1": 1.0}


def test_what_is_told():
    stored = {"same": 1.0, "near": 2.0, "far": 3.0, "gone": 0.0, "no number": math.nan}
    now = {"same": 1.0, "near": 2.001, "far": 4.0, "new": 0.0, "no number": math.nan}
    assert differences(stored, now) == ["far was 3 and is 4", "gone is gone", "new is new"]
    assert differences({"step 1": 2.0}, {"step 1": 2.001})  # a loss has less room


def test_tasks_keep_their_training_examples_and_some_of_every_length():
    whole = minattn.tasks.reversal()
    losses: list[float] = []
    with in_short(losses):
        small = minattn.tasks.reversal()
    assert small.train == whole.train
    assert {e.length for e in small.held_out} == {e.length for e in whole.held_out}
    assert len(small.held_out) < len(whole.held_out)
