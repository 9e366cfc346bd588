import pytest
import torch

from book.experiments import summarization_measures as measures
from book.experiments.summarization_sides import Clamped, Modulo, last_place_only, sum_of_logs
from minattn.language.pointer import mixture
from minattn.tasks.facts import facts
from minattn.tasks.persons import persons

TASKS = {"facts": facts(20, 5, 20), "persons": persons()}


@pytest.mark.parametrize("name", TASKS)
def test_right_headlines_are_right_in_all_parts(name):
    task = TASKS[name]
    examples = task.held_out[:20]
    found = measures.score(task, examples, [one.target for one in examples])
    assert found["exact"] == found["faithful"] == 1
    assert set(found["parts"].values()) == set(found["rouge"].values()) == {1}
    for one in examples:
        assert len(measures.parts(task, one.target)) == len(found["parts"])


def test_one_wrong_part_is_counted_in_its_place():
    task = TASKS["persons"]
    one = task.held_out[5]
    said = "Matthew Arnold , poet from Wales , lived 1822 to 1999".split()
    found = measures.score(task, [one], [said])
    assert found["exact"] == 0
    assert found["parts"] == {"name": 1, "job": 1, "country": 0, "years": 0}
    assert found["faithful"] == 4 / 5  # what is no country has to stand in the text


def test_a_headline_that_is_in_no_order_is_right_in_no_part():
    task = TASKS["facts"]
    found = measures.score(task, task.held_out[:1], [["sea"]])
    assert set(found["parts"].values()) == {0}


def test_words_are_sorted_by_how_often_training_has_them():
    assert [measures.rarity(n) for n in (0, 1, 9, 10, 99, 100)] == [
        "never", *["1 to 9 times"] * 2, *["10 to 99 times"] * 2, "100 times or more",
    ]  # fmt: skip
    task = TASKS["facts"]
    found = measures.by_rarity(task, task.held_out, [one.target for one in task.held_out])
    assert found["never"]["words"] >= 60
    assert {kind["said"] for kind in found.values()} == {1}


def test_the_rule_of_hand_takes_names_job_and_years():
    text = "Bell , Ada Bell , A. Bell : French baker who met a poet ( born in 1900 )".split()
    assert " ".join(measures.person_by_hand(text)) == "Ada Bell , baker from England , born in 1900"
    text = "Bell : United States poet ( 1900 - 1950 )".split()
    assert (
        " ".join(measures.person_by_hand(text))
        == "Bell , poet from the United States , lived 1900 to 1950"
    )


def ways():
    logits, gate = torch.zeros(1, 1, 4), torch.zeros(1, 1)
    return logits, gate, torch.tensor([[[0.5, 0.3, 0.2]]]), torch.tensor([[4, 3, 4]])


def test_the_faults_are_faults():
    right = mixture(*ways()).exp()[0, 0]
    assert right.tolist() == pytest.approx([0.125, 0.125, 0.125, 0.275, 0.35])
    assert last_place_only(*ways()).exp()[0, 0].tolist() == pytest.approx(
        [*right[:4].tolist(), 0.1]
    )
    expected = [(0.25 * 1e-9) ** 0.5] * 3 + [(0.25 * 0.3) ** 0.5, (0.7 * 1e-9) ** 0.5]
    assert sum_of_logs(*ways()).exp()[0, 0].tolist() == pytest.approx(expected, rel=1e-4)


def test_faulty_tables_read_another_row():
    for kind, row in ((Clamped, 4), (Modulo, 1)):
        table = kind(5, 2)
        assert torch.equal(table(torch.tensor([6])), table.weight[[row]])
