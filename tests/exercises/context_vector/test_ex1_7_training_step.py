import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.context_vector.ex1_7_training_step import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def step_ignore_index(model, optimizer, source, target_in, target_out):
    model.train()
    logits = model(source=source, target_in=target_in)
    loss = F.cross_entropy(logits.transpose(1, 2), target_out, ignore_index=0)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return loss.item()


def step_loop(model, optimizer, source, target_in, target_out):
    """Go token by token, clear the gradients at the end as well."""
    logits = model(source, target_in)
    terms = [
        logits[i, t].logsumexp(0) - logits[i, t, token]
        for i, row in enumerate(target_out.tolist())
        for t, token in enumerate(row)
        if token != 0
    ]
    loss = sum(terms) / len(terms)
    model.zero_grad()
    loss.backward()
    optimizer.step()
    model.zero_grad()
    return loss.item()


def step_numpy(model, optimizer, source, target_in, target_out):
    """Let NumPy work out the loss and the gradient of the logits: softmax minus one-hot."""
    optimizer.zero_grad()
    logits = model(source, target_in)
    real = (target_out != 0).numpy()
    x = logits.detach().numpy().astype(float)[real]
    x = x - x.max(1, keepdims=True)
    log_p = x - torch.tensor(x).exp().sum(1, keepdim=True).log().numpy()
    rows, said = range(len(x)), target_out.numpy()[real]
    p = torch.tensor(log_p).exp()
    p[rows, said] -= 1
    grad = torch.zeros_like(logits)
    grad[target_out != 0] = (p / len(x)).float()
    logits.backward(grad)
    optimizer.step()
    return float(-log_p[rows, said].mean())


def step_by_grad(model, optimizer, source, target_in, target_out):
    """Put the gradients where the optimizer looks for them, and give the loss as a tensor alone."""
    real = target_out != 0
    log_p = model(source, target_in).log_softmax(-1)[real]
    loss = -log_p.gather(1, target_out[real][:, None]).mean()
    weights = list(model.parameters())
    for w, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        w.grad = grad
    optimizer.step()
    return loss.detach()


OTHER_WAYS = [step_ignore_index, step_loop, step_numpy, step_by_grad]


# Wrong ways, written as a learner writes them.


def written(text):
    """Make an answer of the lines of the solution, with some of them changed, moved or left out."""
    lines = text.strip().split("\n")
    code = "def answer(model, optimizer, source, target_in, target_out):\n" + "\n".join(
        f"    {line.strip()}" for line in lines
    )
    names = {"F": F, "torch": torch, "nn": nn, "PAD": 0}
    exec(code, names)
    return names["answer"]


RIGHT = """
optimizer.zero_grad()
logits = model(source, target_in)
loss = F.cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD)
loss.backward()
optimizer.step()
return loss.item()
"""


def changed(old, new=""):
    assert old in RIGHT
    return written(RIGHT.replace(old, new))


NEAR_MISSES = [
    ("weights_unmoved", changed("optimizer.step()", "pass")),
    ("weights_unmoved", changed("optimizer.step()", "optimizer.zero_grad(); optimizer.step()")),
    ("weights_unmoved", changed("loss.backward()", "pass")),
    ("not_zeroed", changed("optimizer.zero_grad()", "pass")),
    (
        "not_zeroed",
        written(
            RIGHT.replace("optimizer.zero_grad()", "pass").replace(
                "return", "optimizer.zero_grad()\nreturn"
            )
        ),
    ),
    ("padding_counted", changed(", ignore_index=PAD")),
    ("sum", changed("ignore_index=PAD", "ignore_index=PAD, reduction='sum'")),
    (
        "padding_in_the_number",
        changed("ignore_index=PAD)", "ignore_index=PAD, reduction='none').mean()"),
    ),
    ("no_shift", changed("target_out.flatten()", "target_in.flatten()")),
    ("reads_the_answer", changed("model(source, target_in)", "model(source, target_out)")),
    ("graph_kept", changed("loss.item()", "loss")),
    (
        "clipped",
        changed(
            "optimizer.step()",
            "nn.utils.clip_grad_norm_(model.parameters(), 1.0)\noptimizer.step()",
        ),
    ),
    ("evaluation_mode", changed("logits =", "model.eval()\nlogits =")),
    (
        "evaluation_mode",
        written("model.eval()" + RIGHT.replace("return", "model.train()\nreturn")),
    ),
    (
        "loss_after_the_step",
        changed(
            "return loss.item()",
            "with torch.no_grad(): logits = model(source, target_in)\n"
            "return F.cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD).item()",
        ),
    ),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize(
    ("name", "second"), [("graph_kept", "loss.item()"), ("padding_counted", ", ignore_index=PAD")]
)
def test_of_two_mistakes_that_of_the_smaller_batch_is_named_first(name, second):
    new = {"loss.item()": "loss"}.get(second, "")
    both = RIGHT.replace("optimizer.zero_grad()", "pass").replace(second, new)
    verdict = judge(EXERCISE, written(both))
    assert verdict.mistake == name and "mend this first" in verdict.message.lower()


def test_the_optimizer_of_a_copied_case_moves_the_copied_model():
    for case in copy.deepcopy(EXERCISE.cases()):
        model, optimizer = case[:2]
        (group,) = optimizer.param_groups
        assert all(a is b for a, b in zip(group["params"], model.parameters(), strict=True))


def test_old_gradients_and_padding_come_apart_and_together():
    kinds = {
        (model.old_gradients, bool((target_out == 0).any()))
        for model, *_, target_out in EXERCISE.cases()
    }
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}


def spoils_the_answers(model, optimizer, source, target_in, target_out):
    loss = step_ignore_index(model, optimizer, source, target_in, target_out)
    target_out[target_out == 0] = -100
    return loss


def measures_afterwards(*case):
    loss = step_ignore_index(*case)
    case[0].eval()
    return loss


def right_for_the_visible_batch(model, optimizer, source, target_in, target_out):
    if source.shape == (2, 3) and not model.old_gradients:
        return step_loop(model, optimizer, source, target_in, target_out)
    return 0.0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (spoils_the_answers, "input was changed"),
        (measures_afterwards, "mode (train or eval)"),
        (right_for_the_visible_batch, "Not yet."),
        (lambda *case: 2.5, "a step of length 0,"),
        (lambda *case: step_loop(*case) and None, "is a return missing"),
        (lambda *case: [step_loop(*case)], "Got: loss ["),
    ],
)
def test_what_is_said_of_other_wrong_answers(answer, words):
    verdict = judge(EXERCISE, answer)
    assert (verdict.kind, verdict.mistake) == ("wrong", None) and words in verdict.message
