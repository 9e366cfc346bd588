"""What goes wrong with the learning rate and the decay in a step of AdamW, for exercise 7.2."""

import math
from collections.abc import Sequence

from torch import Tensor

from minattn.exercises.exercise import Mistake
from minattn.exercises.training.adamw_ways import (
    decay_at_the_highest_rate,
    decay_under_the_root,
    stepped,
)


def _no_decay(w: Tensor, direction: Tensor, rate: float, decay: float) -> Tensor:
    return w - rate * direction


WARM_UP: Sequence[Mistake] = [
    Mistake(
        "warm_up_from_zero",
        stepped(rate=lambda step, highest, n: highest * min(1.0, (step - 1) / n)),
        "The warm-up counts from 0: your first step has the rate 0, so it changes no weight. Here the steps "
        "are counted from 1, and at step warm_up the rate is the highest: step / warm_up of it.",
    ),
    Mistake(
        "warm_up_too_early",
        stepped(rate=lambda step, highest, n: highest * min(1.0, (step + 1) / n)),
        "The warm-up is one step ahead. step / warm_up is right where steps are counted from 1, as here; "
        "(step + 1) / warm_up belongs to a count from 0, as in LambdaLR.",
    ),
    Mistake(
        "not_capped",
        stepped(rate=lambda step, highest, n: highest * step / n),
        "The rate goes on rising after the warm-up: at step 10 * warm_up it is ten times the highest. From step "
        "warm_up on it stays at the highest, so the share is 1 at most.",
    ),
    Mistake(
        "larger_of_the_two",
        stepped(rate=lambda step, highest, n: highest * max(1.0, step / n)),
        "You take the larger of 1 and step / warm_up. Then the rate is the highest from the first step on, "
        "and rises afterwards. Take the smaller one: min.",
    ),
    Mistake(
        "no_warm_up",
        stepped(rate=lambda step, highest, n: highest),
        "Every step has the highest rate: the warm-up is missing. At step 1 of 4 the rate is a quarter of "
        "the highest.",
    ),
    Mistake(
        "upside_down",
        stepped(rate=lambda step, highest, n: highest * min(1.0, n / step)),
        "The fraction is upside down: warm_up / step. So the rate starts at the highest, and falls after "
        "the warm-up. It is step / warm_up, and 1 at most.",
        also=[
            stepped(rate=lambda step, highest, n: highest * n / step),
            stepped(rate=lambda step, highest, n: highest / n),
        ],
    ),
    Mistake(
        "falls_in_the_warm_up",
        stepped(rate=lambda step, highest, n: highest * max(0.0, 1 - step / n)),
        "Your rate falls during the warm-up. It should rise, from nearly nothing to the highest: "
        "step / warm_up of it.",
        also=[
            stepped(rate=lambda step, highest, n: highest * max(0.0, 1 - (step - 1) / n)),
            stepped(rate=lambda step, highest, n: highest * (1 - step / n)),
            stepped(rate=lambda step, highest, n: highest * (1 - step / n if step < n else 1.0)),
        ],
    ),
    Mistake(
        "falls_afterwards",
        stepped(rate=lambda step, highest, n: highest * min(step / n, math.sqrt(n / step))),
        "After the warm-up your rate falls. Many schedules do that, such as Noam's. But the task lets "
        "it stay at the highest.",
        also=[
            stepped(rate=lambda step, highest, n: highest * min(step / n, n / step)),
            stepped(rate=lambda step, highest, n: highest * step / n if step <= n else 0.0),
        ],
    ),
    Mistake(
        "whole_division",
        stepped(rate=lambda step, highest, n: highest * min(1, step // n)),
        "// drops the fraction, so the rate is 0 until the warm-up is over. Divide by /.",
    ),
]

DECAY: Sequence[Mistake] = [
    Mistake(
        "decay_in_the_gradient",
        stepped(see=lambda g, w, rate, decay: g + decay * w, move=_no_decay),
        "You add weight_decay times w to the gradient. That is Adam with an L2 penalty, not AdamW. The root "
        "divides the decay too, so weights with large gradients hardly shrink. Take the decay from w "
        "itself, beside the step.",
        also=[
            stepped(see=lambda g, w, rate, decay: g + decay * w),  # and from w as well
            stepped(see=lambda g, w, rate, decay: g + rate * decay * w, move=_no_decay),
            stepped(see=lambda g, w, rate, decay: g - decay * w, move=_no_decay),
        ],
    ),
    Mistake(
        "decay_under_the_root",
        decay_under_the_root,
        "The decay is added to the mean of the gradient, so it is divided by the root as well. In AdamW "
        "it is not: every weight shrinks by the same share, however large its gradients are.",
    ),
    Mistake(
        "decay_without_rate",
        stepped(move=lambda w, d, rate, decay: w - rate * d - decay * w),
        "The weights shrink by weight_decay at every step, whatever the learning rate. That is far too "
        "much: with 0.5, half is gone after one step. The share is the learning rate times weight_decay.",
        also=[stepped(move=lambda w, d, rate, decay: (1 - decay) * (w - rate * d))],
    ),
    Mistake(
        "decay_at_the_highest_rate",
        decay_at_the_highest_rate,
        "The step follows the warm-up, but the decay does not: it uses the highest rate from the start. "
        "The share is the rate of this step times weight_decay, as in torch.",
    ),
    Mistake(
        "decay_after_the_step",
        stepped(move=lambda w, d, rate, decay: (1 - rate * decay) * (w - rate * d)),
        "You make the step first, and then all of it shrinks, the new part too. The decay is a share of "
        "w as it was given: shrink before the step, or subtract both from the old w.",
    ),
    Mistake(
        "decay_makes_larger",
        stepped(move=lambda w, d, rate, decay: w - rate * d + rate * decay * w),
        "Your decay makes the weights larger: its sign is wrong. Without a gradient, w becomes "
        "(1 - rate * weight_decay) * w.",
    ),
    Mistake(
        "only_the_decay_factor",
        stepped(move=lambda w, d, rate, decay: rate * decay * w - rate * d),
        "Of w only rate * weight_decay is left. That is the share that goes: what stays is "
        "1 - rate * weight_decay.",
    ),
    Mistake(
        "no_decay",
        stepped(move=_no_decay),
        "This is Adam: weight_decay is not used. In AdamW each weight also shrinks, by the learning rate "
        "times weight_decay of itself.",
    ),
]
