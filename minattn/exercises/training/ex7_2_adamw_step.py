"""Exercise 7.2: one step of AdamW, with warm-up.

References:
    Kingma and Ba 2015, arXiv:1412.6980; the decay: Loshchilov and Hutter 2019, arXiv:1711.05101.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.exercises.training.adamw_mistakes import DECAY, WARM_UP
from minattn.exercises.training.adamw_ways import (
    adamw_cases,
    adamw_step,
    correction,
    eps_before_the_correction,
    running,
    stepped,
)


def _uncorrected(beta: float, step: int) -> float:
    return 1.0


def _lies_between(x: Tensor, a: Tensor, b: Tensor) -> bool:
    slack = 1e-5
    return bool(((x >= torch.minimum(a, b) - slack) & (x <= torch.maximum(a, b) + slack)).all())


_CORRECTION: Sequence[Mistake] = [
    Mistake(
        "no_correction",
        stepped(correct=(_uncorrected, _uncorrected)),
        "The means are used as they are. They began at 0, so at first they are far too small: after one step "
        "m is 0.1 of the gradient, if its beta is 0.9. Divide by 1 - beta ** step.",
    ),
    Mistake(
        "only_m_corrected",
        stepped(correct=(correction, _uncorrected)),
        "m is corrected and v is not. v began at 0 too, and with its larger beta it stays too small for "
        "longer: the first steps become too large. Divide it by 1 - betas[1] ** step.",
    ),
    Mistake(
        "only_v_corrected",
        stepped(correct=(_uncorrected, correction)),
        "v is corrected and m is not. m began at 0 too, so the first steps are too small. Divide it by "
        "1 - betas[0] ** step.",
    ),
    Mistake(
        "correction_one_step_back",
        stepped(correct=(lambda b, step: 1 - b ** (step - 1), lambda b, step: 1 - b ** (step - 1))),
        "The correction counts from 0: with step - 1 the first step divides by 1 - 1 = 0. At step 1 the means "
        "hold 1 - beta of one gradient, so divide by 1 - beta ** step.",
    ),
    Mistake(
        "correction_one_step_ahead",
        stepped(correct=(lambda b, step: 1 - b ** (step + 1), lambda b, step: 1 - b ** (step + 1))),
        "The correction is one step ahead: step + 1. The steps are counted from 1 already, so at the first "
        "one the exponent is 1.",
    ),
    Mistake(
        "correction_without_power",
        stepped(correct=(lambda b, step: 1 - b, lambda b, step: 1 - b)),
        "You divide by 1 - beta at every step. That is right at the first only. Later the means have nearly "
        "nothing missing, and 1 - beta ** step comes close to 1.",
        also=[stepped(correct=(lambda b, step: 1 - b * step, lambda b, step: 1 - b * step))],
    ),
    Mistake(
        "divided_by_the_power",
        stepped(correct=(lambda b, step: b**step, lambda b, step: b**step)),
        "You divide by beta ** step, which comes close to 0, so the means grow without end. What is "
        "missing is the share beta ** step, and what is there is 1 - beta ** step: divide by that.",
    ),
    Mistake(
        "correction_multiplied",
        stepped(
            correct=(lambda b, step: 1 / (1 - b**step), lambda b, step: 1 / (1 - b**step)),
        ),
        "You multiply by 1 - beta ** step. The means are too small at first, and that makes them even "
        "smaller. Divide by it.",
    ),
    Mistake(
        "corrected_means_kept",
        stepped(back=lambda w, new, corrected: (w, *corrected)),
        "You return the corrected means. The next step would go on from them and correct them again. Keep m "
        "and v as they are, and use corrected copies for the step alone.",
        also=[
            stepped(back=lambda w, new, corrected: (w, corrected[0], new[1])),
            stepped(back=lambda w, new, corrected: (w, new[0], corrected[1])),
        ],
    ),
]

_ROOT: Sequence[Mistake] = [
    Mistake(
        "eps_under_the_root",
        stepped(direct=lambda mean, square, eps: mean / (square + eps).sqrt()),
        "eps stands under the root. There it has the size of a squared gradient, and 1e-8 acts like 1e-4. "
        "It is added to the root.",
    ),
    Mistake(
        "eps_before_the_correction",
        eps_before_the_correction,
        "eps is added to the root of v before v is corrected, so at first it counts for more. Section 2 of "
        "the paper on Adam names this shorter form too, and its eps is another one. Here v is corrected "
        "first.",
    ),
    Mistake(
        "no_eps",
        stepped(direct=lambda mean, square, eps: mean / square.sqrt()),
        "eps is missing. A weight that never had a gradient, such as the vector of a token that was in no "
        "batch, then gets 0 / 0.",
    ),
    Mistake(
        "no_root",
        stepped(direct=lambda mean, square, eps: mean / (square + eps)),
        "The root is missing: you divide by the mean of the squares. Then small gradients make huge steps. "
        "With the root, a step is about as long as the rate, however large the gradients are.",
    ),
    Mistake(
        "multiplied_by_the_root",
        stepped(direct=lambda mean, square, eps: mean * (square.sqrt() + eps)),
        "You multiply by the root. Adam divides by it, so that weights with small gradients move as far as "
        "those with large ones.",
    ),
    Mistake(
        "not_divided",
        stepped(direct=lambda mean, square, eps: mean),
        "The mean is not divided by the root of v. This is momentum alone; v plays no part in it.",
    ),
]

_MEANS: Sequence[Mistake] = [
    Mistake(
        "betas_swapped",
        stepped(take=lambda betas: betas[::-1]),
        "The betas have changed places. The first is for the gradient, the second, mostly larger, for its "
        "square.",
        also=[
            stepped(
                means=lambda m, v, g, betas: running(m, v, g, betas[::-1]),
            ),
        ],
    ),
    Mistake(
        "one_beta_for_both",
        stepped(take=lambda betas: (betas[0], betas[0])),
        "Both means use the same beta. The first one is for the gradient, the second one for its square.",
        also=[stepped(take=lambda betas: (betas[1], betas[1]))],
    ),
    Mistake(
        "shares_swapped",
        stepped(means=lambda m, v, g, betas: running(m, v, g, (1 - betas[0], 1 - betas[1]))),
        "beta and 1 - beta have changed places: most of a mean is new at every step, and nearly nothing is "
        "remembered. beta is the share of the old mean that stays.",
    ),
    Mistake(
        "new_part_whole",
        stepped(
            means=lambda m, v, g, betas: (betas[0] * m + g, betas[1] * v + g.square()),
        ),
        "The new gradient counts in full: 1 - beta is missing. That is a sum, not a mean, and it grows to "
        "1 / (1 - beta) times the gradient, which is ten times for 0.9.",
        also=[
            stepped(
                means=lambda m, v, g, betas: (
                    betas[0] * m + g,
                    betas[1] * v + (1 - betas[1]) * g.square(),
                )
            )
        ],
    ),
    Mistake(
        "not_squared",
        stepped(
            means=lambda m, v, g, betas: (running(m, v, g, betas)[0], v + (1 - betas[1]) * (g - v))
        ),
        "v takes the gradient as it is, not its square. It can become negative then, and the root of that is "
        "NaN. v is the mean of the squares.",
        also=[
            stepped(
                means=lambda m, v, g, betas: (
                    running(m, v, g, betas)[0],
                    betas[1] * v + (1 - betas[1]) * g.abs(),
                )
            )
        ],
    ),
    Mistake(
        "square_of_the_mean",
        stepped(
            means=lambda m, v, g, betas: (
                running(m, v, g, betas)[0],
                betas[1] * v + (1 - betas[1]) * running(m, v, g, betas)[0].square(),
            )
        ),
        "v is made of the square of m. Where the gradient changes its sign, m is small though the gradients "
        "are large. Square the gradient itself.",
        also=[
            stepped(
                means=lambda m, v, g, betas: (
                    running(m, v, g, betas)[0],
                    (betas[1] * v + (1 - betas[1]) * g).square(),
                )
            )
        ],
    ),
    Mistake(
        "old_means_used",
        stepped(used=lambda new, old, g: old),
        "The step is made of m and v as they were before; the new gradient changes them too late. At the "
        "first step both are 0, and nothing moves. First the means, then the step.",
        also=[
            stepped(used=lambda new, old, g: (old[0], new[1])),
            stepped(used=lambda new, old, g: (new[0], old[1])),
        ],
    ),
    Mistake(
        "gradient_in_place_of_m",
        stepped(used=lambda new, old, g: (g, new[1]), correct=(_uncorrected, correction)),
        "You divide the gradient itself by the root; m plays no part in it. That is RMSprop. In Adam the "
        "step goes along the running mean of the gradients.",
        also=[stepped(used=lambda new, old, g: (g, new[1]))],
    ),
]

_RETURNED: Sequence[Mistake] = [
    Mistake(
        "uphill",
        stepped(move=lambda w, d, rate, decay: w + rate * d - rate * decay * w),
        "The step goes up the gradient, so the loss rises. It is subtracted.",
        also=[stepped(move=lambda w, d, rate, decay: w + rate * d + rate * decay * w)],
    ),
    Mistake(
        "step_alone",
        stepped(move=lambda w, d, rate, decay: -rate * d - rate * decay * w),
        "This is the step, not where it leads. Add it to the weights that were given.",
        also=[stepped(move=lambda w, d, rate, decay: rate * d + rate * decay * w)],
    ),
    Mistake(
        "old_means_returned",
        lambda *case: (adamw_step(*case)[0], *case[2:4]),
        "The new weights are right, but m and v are returned as they were given. The next step needs the "
        "new ones; else nothing is ever remembered.",
    ),
    Mistake(
        "weights_alone",
        lambda *case: adamw_step(*case)[0],
        "The weights are right, but they stand alone. Return m and v too: nothing else remembers them until "
        "the next step.",
    ),
    Mistake(
        "other_order",
        lambda *case: tuple(adamw_step(*case)[i] for i in (0, 2, 1)),
        "m and v have changed places in what you return, or w does not come first. The order is w, m, v.",
        also=[lambda *case: tuple(adamw_step(*case)[i] for i in (1, 2, 0))],
    ),
]

EXERCISE = Exercise(
    number="7.2",
    title="One step of AdamW, with warm-up",
    solution=adamw_step,
    cases=adamw_cases,
    mistakes=[*WARM_UP, *DECAY, *_CORRECTION, *_ROOT, *_MEANS, *_RETURNED],
    laws=[
        Law(
            "m lies between its old value and the gradient",
            lambda out, w, gradient, m, v, *rest: _lies_between(out[1], m, gradient),
        ),
        Law(
            "v lies between its old value and the squared gradient",
            lambda out, w, gradient, m, v, *rest: _lies_between(out[2], v, gradient.square()),
        ),
    ],
)
