"""The stored results of the book's experiments are what today's code gives: every arm, by its fingerprint."""

import json

import pytest
import torch

from book.experiments import fingerprint
from book.experiments.running import RESULTS
from minattn.claims import results

NAMES = sorted(path.stem for path in RESULTS.glob("*.json"))
every_experiment = pytest.mark.parametrize("name", NAMES)


def test_there_are_experiments():
    assert NAMES


@every_experiment
def test_stored_settings_are_those_of_the_script(name):
    script, stored = fingerprint.load_experiment(name), results(name, RESULTS)
    assert stored.data["made"]["settings"] == json.loads(json.dumps(script.ARMS))
    assert stored.arms == list(script.ARMS) == list(stored.data["fingerprints"])
    for arm in stored.arms:
        assert [run["seed"] for run in stored.runs(arm)] == stored.seeds


@pytest.mark.slow
@every_experiment
def test_every_arm_begins_as_it_did(name):
    script, stored = fingerprint.load_experiment(name), results(name, RESULTS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        moved = {
            arm: fingerprint.differences(
                stored.data["fingerprints"][arm],
                fingerprint.fingerprint(script.run, script.ARMS[arm], stored.seeds[0]),
            )
            for arm in stored.arms
        }
    finally:
        torch.set_num_threads(threads)
    told = [f"{arm}: {'; '.join(found[:3])}" for arm, found in moved.items() if found]
    stale = f"{len(told)} of {len(moved)} arms moved; run make experiments ONLY={name}"
    assert not told, "\n".join([stale, *told])
