import torch

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


def line_changed(branch, *lines):
    """Make an answer with lines of its own for one branch; the other one is right."""

    def answer(x, f, g, norm_1, norm_2, place):
        if place != branch:
            return sublayers_named(x, f, g, norm_1, norm_2, place)
        names = {"x": x, "f": f, "g": g, "norm_1": norm_1, "norm_2": norm_2}
        exec("\n".join(lines), names)
        return names["x"]

    return answer


def sublayers_else_forgotten(x, f, g, norm_1, norm_2, place):
    if place == "pre":
        x = x + f(norm_1(x))
        x = x + g(norm_2(x))
    x = norm_1(x + f(x))
    return norm_2(x + g(x))


PRE, POST = "x = x + f(norm_1(x))", "x = norm_1(x + f(x))"


NEAR_MISSES = [
    ("back_to_the_start", sublayers_renamed),
    ("normed_carried_on", sublayers_rebound),
    ("goes_on_after_pre", sublayers_else_forgotten),
    ("one_norm_for_both", line_changed("pre", PRE, "x = x + g(norm_1(x))")),
    ("one_norm_for_both", line_changed("post", POST, "x = norm_1(x + g(x))")),
    ("norms_swapped", line_changed("pre", "x = x + f(norm_2(x))", "x = x + g(norm_1(x))")),
    ("one_sublayer_twice", line_changed("pre", PRE, "x = x + f(norm_2(x))")),
    ("one_sublayer_twice", line_changed("post", POST, "x = norm_2(x + f(x))")),
    ("order_swapped", line_changed("post", "x = norm_2(x + g(x))", POST)),
    ("side_by_side", line_changed("pre", "x = x + f(norm_1(x)) + g(norm_2(x))")),
    ("no_norm", line_changed("pre", PRE, "x = x + g(x)")),
    ("no_norm", line_changed("post", POST, "x = x + g(x)")),
    ("normed_twice", line_changed("pre", "x = norm_1(x + f(norm_1(x)))", "x = x + g(norm_2(x))")),
    ("a_last_norm", line_changed("pre", PRE, "x = norm_2(x + g(norm_2(x)))")),
    ("norm_of_x_alone", line_changed("post", POST, "x = norm_2(x) + g(x)")),
    ("one_of_each", line_changed("pre", PRE, "x = norm_2(x + g(x))")),
    ("one_of_each", line_changed("post", POST, "x = x + g(norm_2(x))")),
    ("normed_before_adding", line_changed("post", POST, "x = x + norm_2(g(x))")),
    ("normed_before_adding_in_pre", line_changed("pre", PRE, "x = x + norm_2(g(x))")),
]
