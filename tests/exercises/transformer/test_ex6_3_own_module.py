import math
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_3_own_module import EXERCISE, MyFeedForward
from minattn.transformer import FeedForward

# Other right ways: loops, by hand, torch's own, and what a careful learner might do differently.


class DownFirst(nn.Module):
    """Register the second map first, and keep the activation as a module."""

    def __init__(self, d_model, d_ff):
        super().__init__()
        self.d_ff = d_ff
        self.down_proj = nn.Linear(d_ff, d_model)
        self.relu = nn.ReLU()
        self.up_proj = nn.Linear(d_model, d_ff)

    def forward(self, x):
        return self.down_proj(self.relu(self.up_proj(x)))


class ByHand(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up_proj = nn.Linear(in_features=d_model, out_features=d_ff, bias=True)
        self.down_proj = nn.Linear(in_features=d_ff, out_features=d_model, bias=True)

    def forward(self, x):
        hidden = (x @ self.up_proj.weight.T + self.up_proj.bias).clamp(min=0)
        return hidden @ self.down_proj.weight.T + self.down_proj.bias


class TokenByToken(MyFeedForward):
    def forward(self, x):
        return torch.stack([torch.stack([self.one(token) for token in row]) for row in x])

    def one(self, token):
        return self.down_proj(torch.maximum(self.up_proj(token), torch.zeros(())))


class OwnLinear(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return torch.einsum("...i,oi->...o", x, self.weight) + self.bias


class OfOwnLinears(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up_proj, self.down_proj = OwnLinear(d_model, d_ff), OwnLinear(d_ff, d_model)

    def forward(self, x):
        h = self.up_proj(x)
        return self.down_proj(h * (h > 0))


class OldSuper(nn.Module):
    def __init__(self, d_model, d_ff):
        super(OldSuper, self).__init__()  # noqa: UP008
        self.up_proj = nn.Linear(d_model, d_ff)
        self.down_proj = nn.Linear(d_ff, d_model)

    def forward(self, tokens):
        return self.down_proj(F.relu(self.up_proj(tokens), inplace=True))


def named_sequence(d_model, d_ff):
    maps = nn.Linear(d_model, d_ff), nn.ReLU(), nn.Linear(d_ff, d_model)
    return nn.Sequential(OrderedDict(zip(("up_proj", "relu", "down_proj"), maps, strict=True)))


OTHER_WAYS = [
    DownFirst,
    ByHand,
    TokenByToken,
    OfOwnLinears,
    OldSuper,
    named_sequence,
    lambda d_model, d_ff: FeedForward(d_model, d_ff),
]


# Wrong ways, written as a learner writes them.

RIGHT = """
class MyFeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up_proj = nn.Linear(d_model, d_ff)
        self.down_proj = nn.Linear(d_ff, d_model)

    def forward(self, x):
        h = F.relu(self.up_proj(x))
        return self.down_proj(h)
"""


def changed(*pairs, text=RIGHT):
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    names = {"nn": nn, "F": F, "torch": torch, "__name__": "notebook"}
    exec(text, names)
    return names["MyFeedForward"]


SUPER = "        super().__init__()\n"
UP, DOWN = "nn.Linear(d_model, d_ff)", "nn.Linear(d_ff, d_model)"
MADE = f"        self.up_proj = {UP}\n        self.down_proj = {DOWN}\n"
FORWARD = "        h = F.relu(self.up_proj(x))\n        return self.down_proj(h)\n"
ADD_NORM = ("d_model)\n\n", "d_model)\n        self.norm = nn.LayerNorm(d_model)\n\n")
ADD_DROP = ("d_model)\n\n", "d_model)\n        self.dropout = nn.Dropout(0.5)\n\n")

NEAR_MISSES = [
    ("a_layer", changed()(3, 5)),
    ("no_super", changed((SUPER, ""))),
    ("no_super", changed((SUPER, ""), (DOWN, f"{DOWN}\n{SUPER.rstrip()}"))),
    ("in_a_list", changed((MADE, f"        self.maps = [{UP}, {DOWN}]\n"))),
    ("in_a_list", changed((MADE, f"        self.maps = {{'up': {UP}, 'down': {DOWN}}}\n"))),
    (
        "in_a_list",
        changed((MADE, "        self.up_proj = [nn.Parameter(torch.zeros(d_ff, d_model))]\n")),
    ),
    (
        "plain_tensors",
        changed((MADE, "        self.up_proj = torch.randn(d_model, d_ff, requires_grad=True)\n")),
    ),
    (
        "plain_tensors",
        changed((MADE, "        self.register_buffer('up_proj', torch.randn(d_model, d_ff))\n")),
    ),
    ("nothing_kept", changed(("self.up_proj = ", "up_proj = "), ("self.down_proj = ", "down = "))),
    (
        "nothing_kept",
        changed(
            (MADE, "        self.d_model, self.d_ff = d_model, d_ff\n"),
            (
                "        h =",
                "        self.up_proj = nn.Linear(self.d_model, self.d_ff)\n        h =",
            ),
        ),
    ),
    ("maps_swapped", changed((MADE, MADE.replace(UP, "?").replace(DOWN, UP).replace("?", DOWN)))),
    ("no_bias", changed((UP, "nn.Linear(d_model, d_ff, bias=False)"))),
    (
        "no_bias",
        changed((UP, "nn.Linear(d_model, d_ff, False)"), (DOWN, "nn.Linear(d_ff, d_model, False)")),
    ),
    ("four_times_wider", changed((SUPER, f"{SUPER}        d_ff = 4 * d_model\n"))),
    (
        "d_ff_unused",
        changed((UP, "nn.Linear(d_model, d_model)"), (DOWN, "nn.Linear(d_model, d_model)")),
    ),
    ("other_names", changed(("up_proj", "fc1"), ("down_proj", "fc2"))),
    ("other_names", changed(("down_proj", "down"))),
    (
        "other_names",
        changed((MADE, f"        self.net = nn.Sequential({UP}, nn.ReLU(), {DOWN})\n")),
    ),
    ("other_names", changed((MADE, f"        self.maps = nn.ModuleList([{UP}, {DOWN}])\n"))),
    (
        "other_names",
        changed(
            (
                MADE,
                "        self.W1 = nn.Parameter(torch.zeros(d_model, d_ff))\n"
                "        self.b1 = nn.Parameter(torch.zeros(d_ff))\n"
                "        self.W2 = nn.Parameter(torch.zeros(d_ff, d_model))\n"
                "        self.b2 = nn.Parameter(torch.zeros(d_model))\n",
            )
        ),
    ),
    ("more_parameters", changed(ADD_NORM, ("self.up_proj(x)", "self.up_proj(self.norm(x))"))),
    ("more_parameters", changed(ADD_NORM)),
    (
        "dropout",
        changed(ADD_DROP, ("return self.down_proj(h)", "return self.dropout(self.down_proj(h))")),
    ),
    ("dropout", changed(ADD_DROP, ("self.down_proj(h)", "self.down_proj(self.dropout(h))"))),
    ("no_gradient", changed(("(self.up_proj(x))", "(self.up_proj(x).detach())"))),
    ("no_gradient", changed(("    def forward", "    @torch.no_grad()\n    def forward"))),
    (
        "no_gradient",
        changed(("self.up_proj(x)", "F.linear(x, self.up_proj.weight.data, self.up_proj.bias)")),
    ),
    ("no_activation", changed(("F.relu(self.up_proj(x))", "self.up_proj(x)"))),
    ("activation_again", changed(("self.down_proj(h)", "F.relu(self.down_proj(h))"))),
    (
        "activation_misplaced",
        changed((FORWARD, "        return F.relu(self.down_proj(self.up_proj(x)))\n")),
    ),
    ("another_activation", changed(("F.relu", "nn.GELU()"))),
    ("another_activation", changed(("F.relu", "torch.abs"))),
    ("residual", changed(("self.down_proj(h)", "x + self.down_proj(h)"))),
    ("normed", changed(("self.up_proj(x)", "self.up_proj(F.layer_norm(x, x.shape[-1:]))"))),
    ("tokens_mixed", changed(("self.up_proj(x)", "self.up_proj(x.mT)"))),
    ("order_of_maps", changed(("up_proj(x)", "down_proj(x)"), ("down_proj(h)", "up_proj(h)"))),
    ("halfway", changed(("self.down_proj(h)", "h"))),
]


# What is said, and what the checker is tried on.


def test_the_solution_takes_the_weights_of_the_package():
    for d_model, d_ff, x in EXERCISE.cases():
        theirs, mine = FeedForward(d_model, d_ff), MyFeedForward(d_model, d_ff)
        mine.load_state_dict(theirs.state_dict())
        torch.testing.assert_close(mine(x), theirs(x))


def test_a_class_with_nothing_in_it_is_open():
    stub = """
class MyFeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        ...

    def forward(self, x):
        "Return what the maps make of every token."
        ...
"""
    assert judge(EXERCISE, changed(text=stub)).kind == "open"
    assert judge(EXERCISE, changed((FORWARD, "        ...\n"))).kind == "open"


def adds_in_place(text="        x += 1\n        h = F.relu(self.up_proj(x - 1))\n"):
    return changed(("        h = F.relu(self.up_proj(x))\n", text))


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (changed(("return ", "")), "wrong", "is a return missing"),
        (changed(("def forward", "def foward")), "error", "forward"),
        (changed(("self.down_proj(h)", "[self.down_proj(h)]")), "wrong", "Not yet."),
        (changed((UP, "nn.Linear(d_model, d_ff + 1)")), "wrong", "up_proj.weight (6, 3)"),
        (
            changed((UP, "1")),
            "wrong",
            "Got: [parameters down_proj.weight (3, 5), down_proj.bias (3,)",
        ),
        (adds_in_place(), "wrong", "input was changed"),
        (lambda d_model, d_ff: lambda x: x, "wrong", "no nn.Module"),
    ],
)
def test_what_is_said_of_other_wrong_answers(answer, kind, words):
    verdict = judge(EXERCISE, answer)
    assert (verdict.kind, verdict.mistake) == (kind, None) and words in verdict.message
