import torch

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_2_pre_or_post import EXERCISE
from minattn.transformer import Residual

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def sublayers_loop(x, f, g, norm_1, norm_2, place):
    for sublayer, norm in ((f, norm_1), (g, norm_2)):
        x = x + sublayer(norm(x)) if place == "pre" else norm(x + sublayer(x))
    return x


def sublayers_named(x, f, g, norm_1, norm_2, place):
    if place == "post":
        middle = norm_1(f(x) + x)
        return norm_2(g(middle) + middle)
    middle = torch.add(x, f(norm_1(x)))
    return torch.add(middle, g(norm_2(middle)))


def sublayers_residual(x, f, g, norm_1, norm_2, place):
    first, second = (Residual(x.shape[-1], norm=place) for _ in range(2))
    first.norm.forward, second.norm.forward = norm_1, norm_2
    return second(first(x, f), g)


OTHER_WAYS = [sublayers_loop, sublayers_named, sublayers_residual]


# Wrong ways, written as a learner writes them.


def sublayers_renamed(x, f, g, norm_1, norm_2, place):
    """Give the first sum a name, and go on with the old one."""
    if place == "pre":
        attended = x + f(norm_1(x))
        out = x + g(norm_2(attended))
    else:
        attended = norm_1(x + f(x))
        out = norm_2(x + g(attended))
    return out


def sublayers_rebound(x, f, g, norm_1, norm_2, place):
    if place == "pre":
        x = norm_1(x)
        x = x + f(x)
        x = norm_2(x)
        return x + g(x)
    x = x + f(x)
    x = norm_1(x)
    x = x + g(x)
    return norm_2(x)


NEAR_MISSES = [
    ("back_to_the_start", sublayers_renamed),
    ("normed_carried_on", sublayers_rebound),
]


# What is said, and what the checker is tried on.


def sublayers_else_forgotten(x, f, g, norm_1, norm_2, place):
    if place == "pre":
        x = x + f(norm_1(x))
        x = x + g(norm_2(x))
    x = norm_1(x + f(x))
    return norm_2(x + g(x))


def test_whoever_forgets_the_way_back_after_pre_is_told_what_the_result_is():
    verdict = judge(EXERCISE, sublayers_else_forgotten)
    assert verdict.kind == "wrong"
    assert 'Input: place = "pre"' in verdict.message
