"""Exercise 14.2: is the peak of attention inside the word?"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Inside = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""Tells which steps lie inside, from their numbers, the first frame, the frame behind the last, and the stride."""


def share_inside(weights: Tensor, starts: Tensor, ends: Tensor, real: Tensor, stride: int) -> float:
    """Return the share of real words whose largest weight lies inside the word."""
    return _share(weights, starts, ends, real, stride)


def _in_frames(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step * stride >= start) & (step * stride < end)


def _no_stride(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step >= start) & (step < end)


def _rounded_down(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step >= start // stride) & (step < end // stride)


def _rounded_down_with_end(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step >= start // stride) & (step <= end // stride)


def _rounded_outwards(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step >= start // stride) & (step < -(-end // stride))


def _rounded_to_nearest(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step >= (start / stride).round()) & (step < (end / stride).round())


def _in_the_middle(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return _in_frames(step + 0.5, start, end, stride)


def _in_the_whole_middle(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    middle = step * stride + stride // 2
    return (middle >= start) & (middle < end)


def _with_end(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step * stride >= start) & (step * stride <= end)


def _without_start(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step * stride > start) & (step * stride < end)


def _without_start_with_end(step: Tensor, start: Tensor, end: Tensor, stride: int) -> Tensor:
    return (step * stride > start) & (step * stride <= end)


def _largest(weights: Tensor, inside: Tensor) -> Tensor:
    return inside.gather(-1, weights.argmax(-1, keepdim=True))[..., 0].double()


def _mass(weights: Tensor, inside: Tensor) -> Tensor:
    return (weights * inside).sum(-1).double()


def _most(weights: Tensor, inside: Tensor) -> Tensor:
    return ((weights * inside).sum(-1) > 0.5).double()


def _over_words(hits: Tensor, real: Tensor) -> Tensor:
    return hits[real].mean()


def _over_all(hits: Tensor, real: Tensor) -> Tensor:
    return hits.mean()


def _padded_in_the_divisor(hits: Tensor, real: Tensor) -> Tensor:
    return (hits * real).mean()


def _over_utterances(hits: Tensor, real: Tensor) -> Tensor:
    return ((hits * real).sum(1) / real.sum(1)).mean()


def _share(
    weights: Tensor,
    starts: Tensor,
    ends: Tensor,
    real: Tensor,
    stride: int,
    *,
    inside: Inside = _in_frames,
    hit: Callable[[Tensor, Tensor], Tensor] = _largest,
    mean: Callable[[Tensor, Tensor], Tensor] = _over_words,
) -> float:
    """Score each word, and average."""
    step = torch.arange(weights.shape[2])
    within = inside(step, starts[..., None], ends[..., None], stride)  # (batch, words, steps)
    return float(mean(hit(weights, within), real))


def _case(seed: int, stride: int, n_steps: int, *utterances: list[tuple[int, int, int]]) -> Case:
    """Make a case from the words of each utterance: its first frame, the frame behind its last, and the peak."""
    n_words = max(map(len, utterances))
    starts, ends = torch.zeros(2, len(utterances), n_words, dtype=torch.long)
    real = torch.zeros(len(utterances), n_words, dtype=torch.bool)
    scores = numbers(seed, len(utterances), n_words, n_steps)
    for i, words in enumerate(utterances):
        for j, (start, end, peak) in enumerate(words):
            starts[i, j], ends[i, j], real[i, j] = start, end, True
            scores[i, j, peak] = scores[i, j].max() + 1
    return scores.softmax(-1), starts, ends, real, stride


def _cases() -> list[Case]:
    return [
        # One peak lies on the first frame of its word, one on the first frame behind it.
        _case(1420, 4, 8, [(4, 13, 1), (16, 24, 6)], [(6, 29, 7)]),
        _case(
            1421,
            4,
            11,
            [(2, 11, 3), (14, 22, 5), (24, 39, 7)],
            [(5, 19, 1)],
            [(0, 8, 2), (9, 14, 3)],
        ),
        _case(1422, 3, 17, [(3, 12, 1), (12, 22, 7), (30, 45, 14)], [(4, 20, 7), (21, 49, 16)]),
        _case(
            1423,
            2,
            19,
            [(0, 8, 4), (9, 15, 7)],
            [(2, 12, 1), (12, 20, 12), (21, 27, 13), (30, 38, 0)],
        ),
    ]


EXERCISE = Exercise(
    number="14.2",
    title="Is the peak inside the word?",
    solution=share_inside,
    cases=_cases,
    mistakes=[
        Mistake(
            "steps_against_frames",
            partial(_share, inside=_no_stride),
            "You compare a step with frames. With stride 4, step 3 stands on frame 12. Bring both to the same "
            "unit first: step * stride is a frame.",
        ),
        Mistake(
            "boundaries_rounded",
            partial(_share, inside=_rounded_down),
            "You round the boundaries to steps, or put a step into the middle of its frames. Step j stands on "
            "frame j * stride. With stride 4, a word from frame 6 to 29 has the steps on 8 to 28, which are 2 to 7. "
            "Turn the step into a frame.",
            also=[
                partial(_share, inside=_rounded_down_with_end),
                partial(_share, inside=_rounded_outwards),
                partial(_share, inside=_rounded_to_nearest),
                partial(_share, inside=_in_the_middle),
                partial(_share, inside=_in_the_whole_middle),
            ],
        ),
        Mistake(
            "end_included",
            partial(_share, inside=_with_end),
            "A step on the frame `end` counts as inside. A word sounds up to the frame before its end, and there "
            "the next one may begin: then one step would lie in two words. Use < for the end.",
            also=[partial(_share, inside=_without_start_with_end)],
        ),
        Mistake(
            "start_left_out",
            partial(_share, inside=_without_start),
            "A step on the first frame of a word does not count. The word begins there: use >= for the start.",
        ),
        Mistake(
            "padded_words_counted",
            partial(_share, mean=_over_all),
            "Padded words count. They have no place in the sound, so no attention can be right about them, and "
            "the share goes down by the batch. Keep the places where `real` is True, in the sum and in what you "
            "divide by.",
            also=[partial(_share, mean=_padded_in_the_divisor)],
        ),
        Mistake(
            "mass_and_not_the_peak",
            partial(_share, hit=_mass),
            "You add up the weights inside the word. That is another measure, and a good one. Asked for is how "
            "often the largest weight lies inside: argmax, and then yes or no for each word.",
            also=[partial(_share, hit=_most)],
        ),
        Mistake(
            "mean_of_utterances",
            partial(_share, mean=_over_utterances),
            "You take the share in each utterance and then the mean of those. A word in a short utterance counts "
            "for more then. Every word counts alike: all hits by all words.",
        ),
        Mistake(
            "how_many",
            lambda *case: float(share_inside(*case) * case[3].sum()),
            "You return how many words are right. Asked for is the share: divide by the number of real words.",
            also=[lambda *case: 100 * share_inside(*case)],
        ),
    ],
    laws=[Law("a share lies between 0 and 1", lambda out, *case: 0 <= float(out) <= 1)],
)
