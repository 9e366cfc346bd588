"""Exercise 6.2: pre or post."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.exercises.transformer.sublayers import (
    Map,
    Place,
    mixer,
    no_norm,
    norm_twice,
    post_norm,
    pre_norm,
    pre_norm_alone,
    pre_norm_carried,
)


def sublayers(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    """Apply two sub-layers with residuals, and a norm before each of them or after each sum."""
    if place == "pre":
        x = x + f(norm_1(x))
        return x + g(norm_2(x))
    x = norm_1(x + f(x))
    return norm_2(x + g(x))


def _post_alone(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(f(x))


def _post_inside(x: Tensor, f: Map, norm: Map) -> Tensor:
    return x + norm(f(x))


def _post_other_sum(x: Tensor, f: Map, norm: Map) -> Tensor:
    return norm(x) + f(x)


def _first_only(x: Tensor, f: Map, norm: Map) -> Tensor:
    return x


def _two(pre: Place = pre_norm, post: Place = post_norm) -> Answer:
    """Make an answer that puts both sub-layers together in another way."""
    return _four(pre, pre, post, post)


def _four(pre_1: Place, pre_2: Place, post_1: Place, post_2: Place) -> Answer:
    def answer(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
        first, second = (pre_1, pre_2) if place == "pre" else (post_1, post_2)
        return second(first(x, f, norm_1), g, norm_2)

    return answer


def _here_and_there(pre: Place, post: Place) -> list[Answer]:
    """Make answers that put one sub-layer together in another way, or one in both branches, or both in one."""
    return [
        _four(pre, pre_norm, post_norm, post_norm),
        _four(pre_norm, pre, post_norm, post_norm),
        _four(pre_norm, pre_norm, post, post_norm),
        _four(pre_norm, pre_norm, post_norm, post),
        _four(pre, pre_norm, post, post_norm),
        _four(pre_norm, pre, post_norm, post),
        _two(pre=pre),
        _two(post=post),
    ]


def _in_one_branch(answer: Answer) -> list[Answer]:
    """Make answers that are wrong for "pre" only, and for "post" only."""

    def on(which: str) -> Answer:
        return lambda *case: (answer if case[-1] == which else sublayers)(*case)

    return [on("pre"), on("post")]


def _anywhere(name: str, message: str, *answers: Answer) -> Mistake:
    """Name a mistake that may be made in both branches or in one of them."""
    alone = [one for answer in answers for one in _in_one_branch(answer)]
    return Mistake(name, answers[0], message, also=[*answers[1:], *alone])


def _reordered(change: Callable[[Map, Map, Map, Map], tuple[Map, Map, Map, Map]]) -> Answer:
    """Make an answer that takes one sub-layer or norm for another."""
    return lambda x, f, g, n_1, n_2, place: sublayers(x, *change(f, g, n_1, n_2), place)


def _side_by_side(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    if place == "pre":
        return x + f(norm_1(x)) + g(norm_2(x))
    return norm_2(norm_1(x + f(x)) + g(x))


def _back_to_the_start(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    if place == "pre":
        return x + g(norm_2(x + f(norm_1(x))))
    return norm_2(x + g(norm_1(x + f(x))))


def _around_both(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> Tensor:
    if place == "pre":
        return x + g(norm_2(f(norm_1(x))))
    return norm_2(x + g(norm_1(f(x))))


def _both_one_after_the_other(
    x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str
) -> Tensor:
    """Forget the way back from the first branch: only with "pre" both run."""
    if place == "pre":
        x = sublayers(x, f, g, norm_1, norm_2, "pre")
    return sublayers(x, f, g, norm_1, norm_2, "post")


@dataclass(frozen=True)
class _Affine:
    """A layer norm with its own gain and bias, which learners need not see."""

    seed: int
    d: int

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(
            x, (self.d,), 1 + numbers(self.seed, self.d) / 2, numbers(self.seed + 1, self.d)
        )


def _sublayers_cases() -> list[Case]:
    def case(seed: int, batch: int, seq: int, d: int, place: str) -> Case:
        f, g = mixer(seed + 1, d, 2), mixer(seed + 2, d, 1)
        return (
            2 * numbers(seed, batch, seq, d),
            f,
            g,
            _Affine(seed + 3, d),
            _Affine(seed + 5, d),
            place,
        )

    return [
        case(620, 1, 2, 3, "pre"),
        case(630, 1, 2, 3, "post"),
        case(640, 3, 5, 4, "pre"),
        case(650, 2, 3, 7, "post"),
    ]


def _show_sublayers(x: Tensor, f: Map, g: Map, norm_1: Map, norm_2: Map, place: str) -> str:
    return f'place = "{place}", x of shape {tuple(x.shape)}'


EXERCISE = Exercise(
    number="6.2",
    title="Pre or post",
    solution=sublayers,
    cases=_sublayers_cases,
    show_case=_show_sublayers,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "normed_carried_on",
            _two(pre=pre_norm_carried),
            'With "pre" you carry the normed x on: x = norm(x), and then x + f(x). The residual has to be '
            "the x from before the norm. Only what the sub-layer reads is normed; the stream itself runs "
            "past all norms untouched, and that is the point of it.",
            also=[
                _four(pre_norm_carried, pre_norm, post_norm, post_norm),
                _four(pre_norm, pre_norm_carried, post_norm, post_norm),
            ],
        ),
        Mistake(
            "no_residual",
            _two(pre_norm_alone, _post_alone),
            "There is no residual: what the sub-layer finds replaces x. It should be added to x. Without "
            "that, each sub-layer has to pass on everything that later ones need, and so does the gradient "
            "on its way back.",
            also=[_two(pre=pre_norm_alone), _two(post=_post_alone)],
        ),
        Mistake(
            "one_residual",
            _four(pre_norm_alone, pre_norm, _post_alone, post_norm),
            "One of the two sub-layers has no residual. Each of them adds what it finds to what was there.",
            also=[
                _four(pre_norm, pre_norm_alone, post_norm, _post_alone),
                _four(pre_norm_alone, pre_norm, post_norm, _post_alone),
                _four(pre_norm, pre_norm_alone, _post_alone, post_norm),
                _four(pre_norm_alone, pre_norm, post_norm, post_norm),
                _four(pre_norm, pre_norm_alone, post_norm, post_norm),
                _four(pre_norm, pre_norm, _post_alone, post_norm),
                _four(pre_norm, pre_norm, post_norm, _post_alone),
            ],
        ),
        Mistake(
            "normed_before_adding",
            _two(post=_post_inside),
            'With "post" you norm what the sub-layer found, and then add it. In the paper the norm comes '
            "after the sum: norm(x + f(x)). So x itself goes through every norm on its way.",
            also=[
                _four(pre_norm, pre_norm, _post_inside, post_norm),
                _four(pre_norm, pre_norm, post_norm, _post_inside),
            ],
        ),
        Mistake(
            "normed_before_adding_in_pre",
            _two(pre=_post_inside),
            'With "pre" you norm what the sub-layer found, and then add it. "pre" norms what goes into a '
            "sub-layer: x + f(norm(x)).",
            also=[
                _two(_post_inside, _post_inside),
                _four(_post_inside, pre_norm, post_norm, post_norm),
                _four(pre_norm, _post_inside, post_norm, post_norm),
            ],
        ),
        Mistake(
            "swapped",
            _two(post_norm, pre_norm),
            'The two have changed places. "pre" norms what goes into a sub-layer, x + f(norm(x)); "post" '
            "norms the sum that comes out, norm(x + f(x)).",
        ),
        Mistake(
            "always_post",
            _two(post_norm, post_norm),
            'Your result does not depend on place: it is always "post". With "pre" the norm stands in front '
            "of the sub-layer, and nothing norms the sum.",
        ),
        Mistake(
            "always_pre",
            _two(pre_norm, pre_norm),
            'Your result does not depend on place: it is always "pre". With "post" the sub-layer reads x as '
            "it is, and the norm comes after the sum.",
        ),
        Mistake(
            "one_of_each",
            _four(post_norm, pre_norm, post_norm, post_norm),
            'One of the two sub-layers is put together as the other place wants it. With "pre" both norms '
            'stand in front of their sub-layers, with "post" both come after the sums.',
            also=[
                _four(pre_norm, post_norm, post_norm, post_norm),
                _four(pre_norm, pre_norm, pre_norm, post_norm),
                _four(pre_norm, pre_norm, post_norm, pre_norm),
                _four(post_norm, pre_norm, pre_norm, post_norm),
                _four(pre_norm, post_norm, post_norm, pre_norm),
                _four(pre_norm, post_norm, pre_norm, post_norm),
                _four(post_norm, pre_norm, post_norm, pre_norm),
            ],
        ),
        Mistake(
            "goes_on_after_pre",
            _both_one_after_the_other,
            'With "pre" the lines for "post" run too, after those for "pre". Is a return missing, or an else?',
        ),
        _anywhere(
            "one_norm_for_both",
            "Both sub-layers have the same norm. Each has its own, with its own learned gain and bias: "
            "norm_1 belongs to f, norm_2 to g.",
            _reordered(lambda f, g, n_1, n_2: (f, g, n_1, n_1)),
            _reordered(lambda f, g, n_1, n_2: (f, g, n_2, n_2)),
        ),
        _anywhere(
            "norms_swapped",
            "The norms have changed places: norm_1 belongs to f, norm_2 to g.",
            _reordered(lambda f, g, n_1, n_2: (f, g, n_2, n_1)),
        ),
        _anywhere(
            "order_swapped",
            "g comes before f. First every token looks around, then it thinks about what it found.",
            _reordered(lambda f, g, n_1, n_2: (g, f, n_2, n_1)),
            _reordered(lambda f, g, n_1, n_2: (g, f, n_1, n_2)),
        ),
        _anywhere(
            "one_sublayer_twice",
            "One sub-layer is used twice, and the other one never. Look at your second line: did a name stay "
            "behind when you copied the first?",
            _reordered(lambda f, g, n_1, n_2: (f, f, n_1, n_2)),
            _reordered(lambda f, g, n_1, n_2: (g, g, n_1, n_2)),
        ),
        _anywhere(
            "one_sublayer_missing",
            "Only one of the two sub-layers is there. The result of the first goes into the second.",
            _four(pre_norm, _first_only, post_norm, _first_only),
            _four(_first_only, pre_norm, _first_only, post_norm),
        ),
        _anywhere(
            "side_by_side",
            "Both sub-layers read the x from the beginning. Some models do that to save time. Here the "
            "second one reads the sum that the first one left. Did the first sum get a name of its own that "
            "is not used afterwards?",
            _side_by_side,
        ),
        _anywhere(
            "back_to_the_start",
            "g reads the right thing, but its result is added to the x from the beginning. What f found is "
            "lost to the stream. The second residual starts from the first sum.",
            _back_to_the_start,
        ),
        _anywhere(
            "one_residual_for_both",
            "There is one residual around both sub-layers. Each has its own: what f found is added to x, and "
            "g reads that sum and adds to it.",
            _around_both,
        ),
        Mistake(
            "no_norm",
            _two(no_norm, no_norm),
            "The sums are right, but nothing is normed, or not all, so the numbers may grow from block to "
            "block. Every sub-layer has its norm.",
            also=_here_and_there(no_norm, no_norm),
        ),
        Mistake(
            "normed_twice",
            _two(norm_twice, norm_twice),
            "There is a norm before the sub-layer and another one after the sum. Pre-norm has the first "
            "only, post-norm the second only.",
            # The second one is what a last norm makes.
            also=[a for i, a in enumerate(_here_and_there(norm_twice, norm_twice)) if i != 1],
        ),
        Mistake(
            "norm_of_x_alone",
            _two(post=_post_other_sum),
            'With "post" you norm x and then add what the sub-layer found. The norm goes round the whole '
            "sum: norm(x + f(x)). Count the brackets.",
            also=[
                _four(pre_norm, pre_norm, _post_other_sum, post_norm),
                _four(pre_norm, pre_norm, post_norm, _post_other_sum),
            ],
        ),
        Mistake(
            "a_last_norm",
            lambda x, f, g, n_1, n_2, place: (
                n_2(sublayers(x, f, g, n_1, n_2, place))
                if place == "pre"
                else sublayers(x, f, g, n_1, n_2, place)
            ),
            'With "pre" there is one norm too many at the end. A pre-norm model has such a last norm, but '
            "only once, after all its blocks, and it is a third one.",
        ),
    ],
)
