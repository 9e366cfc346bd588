import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.context_vector.ex1_7_step_in_parts import EXERCISE
from minattn.exercises.judging import judge


def tokens(target_out):
    return int((target_out != 0).sum())


# Other right ways: weights, loops, NumPy, torch's own, and what a careful learner might do differently.


def step_weights(model, optimizer, parts):
    """Weigh the mean of each part by its share of the real tokens."""
    model.train()
    optimizer.zero_grad(set_to_none=False)
    counts = [tokens(target_out) for _, _, target_out in parts]
    losses = []
    for (source, target_in, target_out), n in zip(parts, counts, strict=True):
        logits = model(source=source, target_in=target_in)
        loss = F.cross_entropy(logits.transpose(1, 2), target_out, ignore_index=0)
        (loss * n / sum(counts)).backward()
        losses.append(loss.detach() * n)
    optimizer.step()
    return sum(losses) / sum(counts)


def step_loop(model, optimizer, parts):
    """Go token by token, clear the gradients at the end as well."""
    n = sum(token != 0 for *_, said in parts for row in said.tolist() for token in row)
    model.zero_grad()
    total = 0.0
    for source, target_in, target_out in parts:
        logits = model(source, target_in)
        loss = 0
        for i, row in enumerate(target_out.tolist()):
            for t, token in enumerate(row):
                if token != 0:
                    loss = loss + logits[i, t].logsumexp(0) - logits[i, t, token]
        loss = loss / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    model.zero_grad()
    return total


def step_numpy(model, optimizer, parts):
    """Let NumPy work out the loss and the gradient of the logits: softmax minus one-hot."""
    optimizer.zero_grad()
    n = sum(tokens(target_out) for *_, target_out in parts)
    total = 0.0
    for source, target_in, target_out in parts:
        logits = model(source, target_in)
        real = (target_out != 0).numpy()
        x = logits.detach().numpy().astype(float)[real]
        x = x - x.max(1, keepdims=True)
        log_p = x - torch.tensor(x).exp().sum(1, keepdim=True).log().numpy()
        rows, said = range(len(x)), target_out.numpy()[real]
        p = torch.tensor(log_p).exp()
        p[rows, said] -= 1
        grad = torch.zeros_like(logits)
        grad[target_out != 0] = (p / n).float()
        logits.backward(grad)
        total -= log_p[rows, said].sum()
    optimizer.step()
    return float(total / n)


def step_by_grad(model, optimizer, parts):
    """Add up what torch.autograd.grad gives, and put it where the optimizer looks for it."""
    weights = list(model.parameters())
    sums = [torch.zeros_like(w) for w in weights]
    total, n = 0.0, 0
    for source, target_in, target_out in parts:
        real = target_out != 0
        log_p = model(source, target_in).log_softmax(-1)[real]
        loss = -log_p.gather(1, target_out[real][:, None]).sum()
        sums = [a + b for a, b in zip(sums, torch.autograd.grad(loss, weights), strict=True)]
        total, n = total + loss.item(), n + int(real.sum())
    for w, grad in zip(weights, sums, strict=True):
        w.grad = grad / n
    optimizer.step()
    return total / n


def step_divided_at_the_end(model, optimizer, parts):
    """Count on the way, and divide the gradients when the number is known."""
    optimizer.zero_grad()
    total = torch.zeros(())
    n = 0
    for source, target_in, target_out in parts:
        logits = model(source, target_in).flatten(0, 1)
        loss = F.cross_entropy(logits, target_out.flatten(), ignore_index=0, reduction="sum")
        loss.backward()
        total += loss.detach()
        n += tokens(target_out)
    for w in model.parameters():
        w.grad /= n
    optimizer.step()
    return (total / n).item()


def step_row_by_row(model, optimizer, parts):
    """Work out the loss first, without a graph, and go in smaller parts than those given."""
    n = sum(tokens(target_out) for *_, target_out in parts)

    def losses():
        for part in parts:
            for source, target_in, target_out in zip(*(ids.split(1) for ids in part), strict=True):
                logits = model(source, target_in)[0]
                yield F.cross_entropy(logits, target_out[0], ignore_index=0, reduction="sum") / n

    with torch.no_grad():
        before = sum(losses())
    optimizer.zero_grad()
    for loss in losses():
        loss.backward()
    optimizer.step()
    return before.item()


OTHER_WAYS = [
    step_weights,
    step_loop,
    step_numpy,
    step_by_grad,
    step_divided_at_the_end,
    step_row_by_row,
]


# Wrong ways, written as a learner writes them.


def written(text):
    names = {"F": F, "torch": torch, "nn": nn, "PAD": 0}
    exec("def answer(model, optimizer, parts):\n" + text, names)
    return names["answer"]


RIGHT = """
    n = sum((said != PAD).sum().item() for _, _, said in parts)
    total = 0
    optimizer.zero_grad()
    for source, target_in, target_out in parts:
        logits = model(source, target_in)
        loss = F.cross_entropy(
            logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD, reduction="sum"
        )
        loss = loss / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total
"""

OF_THE_CHAPTER = """
    losses = []
    for source, target_in, target_out in parts:
        logits = model(source, target_in)
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), target_out.flatten(), ignore_index=0
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)
"""


def changed(*pairs, text=RIGHT):
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return written(text)


MEANS = (', reduction="sum"', ""), ("        loss = loss / n\n", "")
ROWS = "sum(len(source) for source, _, _ in parts)"
CLIP = "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"

NEAR_MISSES = [
    ("weights_unmoved", changed(("    optimizer.step()\n", ""))),
    ("weights_unmoved", changed(("optimizer.step()", "optimizer.zero_grad(); optimizer.step()"))),
    ("not_zeroed", changed(("    optimizer.zero_grad()\n", ""))),
    (
        "not_zeroed",
        changed(
            ("    optimizer.zero_grad()\n", ""), ("return", "optimizer.zero_grad()\n    return")
        ),
    ),
    (
        "zeroed_for_every_part",
        changed(("loss.backward()", "optimizer.zero_grad(); loss.backward()")),
    ),
    ("all_graphs", changed(("loss.backward()", "pass"))),
    (
        "all_graphs",
        changed(
            ("        loss.backward()\n", ""),
            ("loss.item()", "loss"),
            ("    optimizer.step()", "    total.backward()\n    optimizer.step()"),
        ),
    ),
    ("step_for_every_part", changed(("    optimizer.step()", "        optimizer.step()"))),
    ("step_for_every_part", written(OF_THE_CHAPTER)),
    ("step_for_every_part", changed((CLIP.strip(), "pass"), text=OF_THE_CHAPTER)),
    (
        "step_for_every_part",
        changed(("sum(losses) / len(losses)", "losses[-1]"), text=OF_THE_CHAPTER),
    ),
    (
        "first_part_only",
        changed(("    optimizer.step()\n    return", "        optimizer.step(); return")),
    ),
    ("mean_of_means", changed(*MEANS, ("return total", "return total / len(parts)"))),
    ("mean_of_means", changed(MEANS[0], ("/ n", "/ len(parts)"))),
    ("rows_as_weights", changed(MEANS[0], ("/ n", f"* len(source) / {ROWS}"))),
    ("padding_counted", changed((", ignore_index=PAD", ""))),
    ("padding_in_the_number", changed(("(said != PAD).sum().item()", "said.numel()"))),
    ("sum", changed(MEANS[1], ("return total", "return total / n"))),
    ("sum", changed(MEANS[1])),
    ("loss_of_the_last_part", changed(("return total", "return loss.item()"))),
    ("another_loss_returned", changed(("loss.item()", "loss.item() * n"))),
    ("graph_kept", changed(("loss.item()", "loss"))),
    ("no_shift", changed(("target_out.flatten()", "target_in.flatten()"))),
    ("reads_the_answer", changed(("model(source, target_in)", "model(source, target_out)"))),
    ("clipped", changed(("    optimizer.step()", f"{CLIP}    optimizer.step()"))),
    ("clipped", changed(("        total +=", f"    {CLIP}        total +="))),
    ("evaluation_mode", changed(("total = 0", "total = 0; model.eval()"))),
    (
        "evaluation_mode",
        changed(("total = 0", "total = 0; model.eval()"), ("return", "model.train(); return")),
    ),
    (
        "loss_after_the_step",
        changed(
            (
                "return total",
                "with torch.no_grad(): return sum(F.cross_entropy(model(s, i).flatten(0, 1), o.flatten(), "
                "ignore_index=PAD, reduction='sum').item() for s, i, o in parts) / n",
            )
        ),
    ),
]


# What is said, and what the checker is tried on.


def test_of_two_mistakes_that_of_the_smaller_batch_is_named_first():
    both = changed(("    optimizer.zero_grad()\n", ""), (", ignore_index=PAD", ""))
    verdict = judge(EXERCISE, both)
    assert verdict.mistake == "padding_counted" and "mend this first" in verdict.message.lower()


def test_the_optimizer_of_a_copied_case_moves_the_copied_model():
    for case in copy.deepcopy(EXERCISE.cases()):
        model, optimizer = case[:2]
        (group,) = optimizer.param_groups
        assert all(a is b for a, b in zip(group["params"], model.parameters(), strict=True))


def test_old_gradients_and_padding_come_apart_and_together():
    kinds = {
        (model.old_gradients, any(bool((said == 0).any()) for *_, said in parts))
        for model, _, parts in EXERCISE.cases()
    }
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}


def test_in_every_case_parts_differ_in_rows_tokens_and_width():
    for _, _, parts in EXERCISE.cases():
        answers = [target_out for *_, target_out in parts]
        for kind in (len, tokens, lambda said: said.shape[1]):
            assert len(set(map(kind, answers))) > 1


def test_a_graph_needs_its_room_until_backward_or_until_it_is_gone():
    model, _, ((source, target_in, _), *_) = EXERCISE.cases()[0]
    logits = model(source, target_in)
    with pytest.raises(MemoryError, match="graph of another part"):
        model(source, target_in)
    logits.sum().backward()
    loss = model(source, target_in).square().sum()
    with pytest.raises(MemoryError, match="graph of another part"), torch.no_grad():
        model(source, target_in)
    del loss
    with torch.no_grad():
        seen = [model(source, target_in) for _ in range(2)]
    assert torch.equal(*seen)
    with pytest.raises(MemoryError, match="more than the largest part"):
        model(source.repeat(2, 1), target_in.repeat(2, 1))


def spoils_the_answers(model, optimizer, parts):
    loss = step_weights(model, optimizer, parts)
    for *_, target_out in parts:
        target_out[target_out == 0] = -100
    return loss


def uses_the_parts_up(model, optimizer, parts):
    loss = step_weights(model, optimizer, parts)
    parts.clear()
    return loss


def measures_afterwards(*case):
    loss = step_weights(*case)
    case[0].eval()
    return loss


def right_for_two_parts(model, optimizer, parts):
    if len(parts) == 2 and not model.old_gradients:
        return step_loop(model, optimizer, parts)
    return 0.0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (spoils_the_answers, "input was changed"),
        (uses_the_parts_up, "input was changed"),
        (measures_afterwards, "mode (train or eval)"),
        (right_for_two_parts, "Not yet."),
        (lambda *case: 2.5, "a step of length 0,"),
        (lambda *case: step_loop(*case) and None, "is a return missing"),
        (lambda *case: [step_loop(*case)], "Got: loss ["),
    ],
)
def test_what_is_said_of_other_wrong_answers(answer, words):
    verdict = judge(EXERCISE, answer)
    assert (verdict.kind, verdict.mistake) == ("wrong", None) and words in verdict.message
