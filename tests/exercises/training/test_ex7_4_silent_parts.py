import copy

import pytest
import torch

from minattn.exercises.training.ex7_4_silent_parts import (
    DETACHED,
    EXERCISE,
    LEFT_OVER,
    TINY,
    Patient,
    batch_loss,
    silent_parameters,
)

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def silent_by_autograd(model, loss_of):
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss_of(model), [p for _, p in named], allow_unused=True)
    heard = [name for (name, _), g in zip(named, grads, strict=True) if g is not None and g.any()]
    return [name for name, _ in model.named_parameters() if name not in heard]


def silent_by_norm(model, loss_of):
    for p in model.parameters():
        p.grad = None
    loss_of(model).backward()
    silent = []
    for name, p in model.named_parameters():
        if p.grad is None or p.grad.norm() == 0:
            silent.append(name)
    return silent


def silent_by_step(model, loss_of):
    model = copy.deepcopy(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.zero_grad()
    loss_of(model).backward()
    optimizer.step()
    return [name for name, p in model.named_parameters() if (p == before[name]).all()]


OTHER_WAYS = [silent_by_autograd, silent_by_norm, silent_by_step]


# Wrong ways, written as a learner writes them.


def silent_if(is_silent, clear=True):
    def answer(model, loss_of):
        if clear:
            model.zero_grad()
        loss_of(model).backward()
        names = []
        for name, p in model.named_parameters():
            if is_silent(p):
                names.append(name)
        return names

    return answer


def silent_adamw(model, loss_of):
    old = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    optimizer.zero_grad()
    loss_of(model).backward()
    optimizer.step()
    named = zip(model.named_parameters(), old, strict=True)
    return [name for (name, p), before in named if torch.equal(p, before)]


def silent_by_modules(model, loss_of):
    model.zero_grad()
    loss_of(model).backward()
    return [
        f"{place}.{name}"
        for place, module in model.named_modules()
        for name, p in module._parameters.items()
        if p is not None and (p.grad is None or not p.grad.any())
    ]


NEAR_MISSES = [
    ("named_twice", silent_by_modules),
    ("missing_only", silent_if(lambda p: p.grad is None)),
    ("missing_only", silent_adamw),
    ("zero_only", silent_if(lambda p: p.grad is not None and p.grad.norm() == 0)),
    ("missing_is_no_tensor", silent_if(lambda p: p.grad.abs().max() == 0)),
    ("left_over", silent_if(lambda p: p.grad is None or not p.grad.any(), clear=False)),
    ("small_taken_for_zero", silent_if(lambda p: p.grad is None or p.grad.norm() < 1e-6)),
    ("some_are_zero", silent_if(lambda p: p.grad is None or (p.grad == 0).any())),
    ("cancelled_in_the_sum", silent_if(lambda p: p.grad is None or abs(p.grad.sum()) < 1e-9)),
    ("frozen_only", silent_if(lambda p: not p.requires_grad)),
]


# What is said, and what the checker is tried on.


FAULTS = [case[0].fault for case in EXERCISE.cases()]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_part_learns_clearly_or_not_at_all(fault):
    patient = Patient(fault)
    silent = silent_parameters(patient, batch_loss)
    scale = 1e-9 if fault == TINY else 1.0
    for name, p in patient.named_parameters():
        if name in silent:
            assert p.grad is None or not p.grad.any()
        else:
            assert p.grad.abs().max() > 5e-3 * scale, name


def test_a_patient_keeps_its_gradients_in_a_copy():
    twin = copy.deepcopy(Patient(LEFT_OVER))
    assert torch.equal(twin.encoder.weight.grad, torch.ones(4, 4).double())
    assert copy.deepcopy(Patient(DETACHED)).encoder.weight.grad is None


def test_patients_are_silent_in_different_places():
    assert [silent_parameters(Patient(fault), batch_loss) for fault in FAULTS] == [
        ["spare.weight"],
        [],
        ["encoder.weight"],
        ["encoder.weight", "query.weight", "key.weight", "value.weight"],
        ["query.weight", "key.weight"],
        ["up.weight", "up.bias", "down.weight"],
        ["embedding.weight"],
        ["query.weight", "key.weight"],
        [],
        ["encoder.weight"],
        ["encoder.weight", "up.weight", "up.bias", "down.weight"],
        ["spare.weight"],
    ]
