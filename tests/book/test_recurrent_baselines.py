"""The models without attention that GPT and BERT are compared with read what they may, and are as large."""

import pytest
import torch

from book.experiments import bert, bert_recurrent, gpt, gpt_recurrent
from book.experiments.bert_recurrent import RecurrentBERT
from book.experiments.gpt_recurrent import RecurrentLanguageModel, n_weights
from minattn.tasks.functions import python_functions
from minattn.tasks.two_notations import two_notations
from minattn.translation import Translator

N_WORDS = 11


def sizes(arm):
    return {key: arm[key] for key in ("d_state", "n_layers")}


@pytest.mark.parametrize("n_layers", [1, 2])
def test_all_tokens_in_one_go_are_the_steps(n_layers):
    model = RecurrentLanguageModel(N_WORDS, 7, n_layers, 0.3).eval()
    source, target = torch.tensor([[1], [1]]), torch.tensor([[1, 5, 6, 7, 3], [1, 9, 9, 4, 5]])
    torch.testing.assert_close(
        model(source, target), Translator.forward(model, source, target), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("arm", gpt_recurrent.ARMS.values())
def test_a_language_model_is_as_large_as_the_gpt(arm):
    words = len(gpt.make_task(python_functions()).target)
    large = n_weights(gpt.make_model(words, 0))
    model = RecurrentLanguageModel(words, dropout=0.0, **sizes(arm))
    assert n_weights(model) == pytest.approx(large, rel=0.02)


@pytest.mark.parametrize("arm", bert_recurrent.ARMS.values())
def test_one_that_fills_gaps_is_as_large_as_bert(arm):
    task = two_notations(n_train=10, n_validation=1, n_held_out=1)
    large = n_weights(bert.make_model(task, 0, "rotary", "both"))
    assert n_weights(RecurrentBERT(len(task.vocabulary), **sizes(arm))) == pytest.approx(
        large, rel=0.02
    )


def test_it_reads_from_both_sides_and_no_padding():
    model = RecurrentBERT(N_WORDS, 7, 1).eval()
    ids = torch.tensor([[1, 5, 6, 7, 2]])
    before = model(ids)
    padded = model(torch.nn.functional.pad(ids, (0, 3)))
    torch.testing.assert_close(padded[:, :5], before)
    for changed in (1, 3):
        other = ids.clone()
        other[0, changed] = 9
        assert (model(other)[0, 2] - before[0, 2]).abs().max() > 1e-3
