"""Exercise 8.5: a whole beam search."""

from collections.abc import Sequence
from itertools import pairwise

import torch

from minattn.exercises.decoding.beam_mistakes import END, WORTH
from minattn.exercises.decoding.beam_ways import (
    Targets,
    Way,
    best,
    best_child_of_each,
    best_of_each,
    children,
    children_in_one_list,
    chosen_in_one_list,
    plain,
    search,
    searched,
    topk_of_all,
    with_parent,
)
from minattn.exercises.decoding.prefix_model import ToyModel, show_search
from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.vocabulary import BOS, EOS

_CHOICE: Sequence[Mistake] = [
    Mistake(
        "greedy",
        lambda model, n_beams, max_length: search(model, 1, max_length),
        "This is the greedy target alone. Keep n_beams targets at every step, let each go on with every token, "
        "and return all that are kept in the end.",
    ),
    Mistake(
        "only_the_best",
        searched(give=lambda beams, n: plain(beams[:1])),
        "The search is right, but you return its best target alone. All that are kept at the end are asked for, "
        "the best first.",
        also=[searched(give=lambda beams, n: plain(beams)[0])],
    ),
    Mistake(
        "begins_with_copies",
        searched(begin=lambda n: [Way([BOS], 0.0) for _ in range(n)]),
        "You begin with n_beams copies of the same beam. They go on alike, so the same target is kept several "
        "times, and your search is a greedy one. Begin with a single beam.",
    ),
    Mistake(
        "one_child_each",
        searched(keep=best_child_of_each),
        "Every beam keeps only its best child: several greedy searches side by side. Let the children of all beams "
        "compete, so that one beam may have several and another none.",
    ),
    Mistake(
        "never_chosen_among_all",
        searched(keep=best_of_each, give=lambda beams, n: plain(best(beams, n))),
        "You keep n_beams children of every beam, so there are more beams at every step. That finds good targets, "
        "but its cost grows without end. Keep the n_beams best of all children together.",
        also=[searched(keep=best_of_each, give=lambda beams, n: plain(best(beams, len(beams))))],
    ),
    Mistake(
        "parents_mixed_up",
        searched(keep=with_parent(lambda i: i)),
        "New tokens stand behind the wrong targets. The first of the new beams need not come from the first of "
        "the old ones: remember with each token which beam it continues.",
        also=[searched(keep=with_parent(lambda i: 0))],
    ),
    Mistake(
        "one_list_for_all",
        searched(grow=children_in_one_list),
        "Several targets share one list. append changes it for all of them, so tokens gather that no target has "
        "said. Make a new list for each child: [*ids, token].",
        also=[searched(keep=chosen_in_one_list)],
    ),
    Mistake(
        "worst_kept",
        searched(keep=lambda ways, n, beams: sorted(ways, key=lambda way: way.total)[:n]),
        "Your search keeps the least likely targets. sort and sorted go upwards unless they are told "
        "reverse=True, and the best total is the largest, closest to zero.",
        also=[
            searched(keep=lambda ways, n, beams: best(ways, len(ways))[-n:]),
        ],
    ),
    Mistake(
        "too_many_wanted",
        searched(keep=topk_of_all),
        "At the first step there are fewer children than beams, and topk stops with an error. Keep all of them "
        "while there are fewer: min(n_beams, number of children).",
    ),
]

_STEPS: Sequence[Mistake] = [
    Mistake(
        "too_few_steps",
        searched(steps=lambda max_length: max_length - 1),
        "Your search is one step too short. max_length counts the tokens that are written, EOS among them, and "
        "not BOS: so many steps there are.",
    ),
    Mistake(
        "too_many_steps",
        searched(steps=lambda max_length: max_length + 1),
        "Your search goes one step too far. A target has max_length tokens at most, EOS among them.",
    ),
    Mistake(
        "reads_the_last_token_only",
        searched(grow=lambda way, model: children(way._replace(ids=way.ids[-1:]), model)),
        "You give the model only the last token. It has no memory of its own: what comes next depends on all "
        "that was said, so give it the whole prefix, BOS included.",
    ),
    Mistake(
        "without_bos",
        searched(grow=lambda way, model: children(way._replace(ids=way.ids[1:]), model)),
        "You call the model without BOS. Its prefix begins with BOS, also when nothing has been said.",
    ),
]

_RETURNED: Sequence[Mistake] = [
    Mistake(
        "bos_returned",
        searched(give=lambda beams, n: [(way.ids, way.total) for way in beams]),
        "The search is right, but BOS stands before the ids. The model has not said it, it was given: leave it "
        "out of what you return.",
    ),
    Mistake(
        "eos_taken_off",
        searched(
            give=lambda beams, n: [
                ([i for i in way.ids[1:] if i != EOS], way.total) for way in beams
            ]
        ),
        "The search is right, but EOS is missing in the ids. The model has said it, and the total pays for it. It "
        "also tells which targets have ended and which were cut.",
        also=[
            searched(give=lambda beams, n: [(way.ids[1:-1], way.total) for way in beams]),
            searched(
                give=lambda beams, n: [
                    ([i for i in way.ids if i != EOS], way.total) for way in beams
                ]
            ),
        ],
    ),
    Mistake(
        "worst_first",
        searched(give=lambda beams, n: plain(beams[::-1])),
        "The targets are right, but the worst comes first. The best one has the largest total, closest to zero.",
    ),
    Mistake(
        "totals_left_out",
        searched(give=lambda beams, n: [way.ids[1:] for way in beams]),
        "The targets are right, but they stand without their totals. Return pairs: the ids, and the sum of their "
        "log probabilities.",
    ),
    Mistake(
        "pairs_turned_round",
        searched(give=lambda beams, n: [(way.total, way.ids[1:]) for way in beams]),
        "The pairs are turned round. First the ids, then the total.",
    ),
    Mistake(
        "two_lists",
        searched(give=lambda beams, n: ([w.ids[1:] for w in beams], [w.total for w in beams])),
        "You return two lists, one of targets and one of totals. Asked for is one list of pairs: zip makes one "
        "of the two.",
    ),
    Mistake(
        "ids_in_tensors",
        searched(give=lambda beams, n: [(torch.tensor(w.ids[1:]), w.total) for w in beams]),
        "The search is right, but the ids of a target are a tensor. A list of whole numbers is asked for: "
        ".tolist() makes one.",
    ),
]


def _cases() -> list[Case]:
    return [
        (ToyModel(7, 5, end=1.0), 2, 4),
        (ToyModel(227, 6, end=0.5), 2, 6),
        (ToyModel(5, 6, end=0.5), 3, 6),
        (ToyModel(364, 7, end=-0.5), 3, 4),
        (ToyModel(293, 6, end=1.0), 7, 4),  # more beams than tokens
        (ToyModel(76, 6), 1, 5),
    ]


def _pays_for_its_tokens(out: Targets, log_probs_after: ToyModel, *rest: int) -> bool:
    for ids, total in out:
        prefix = [BOS, *ids]
        steps = [float(log_probs_after(prefix[:i])[prefix[i]]) for i in range(1, len(prefix))]
        if abs(sum(steps) - total) > 1e-4:
            return False
    return True


EXERCISE = Exercise(
    number="8.5",
    title="A whole beam search",
    solution=search,
    cases=_cases,
    show_case=show_search,
    tolerance=1e-4,
    mistakes=[*END, *_CHOICE, *WORTH, *_STEPS, *_RETURNED],
    laws=[
        Law(
            "nothing is said after EOS",
            lambda out, *case: all(EOS not in ids[:-1] for ids, _ in out),
        ),
        Law(
            "no target has more than max_length tokens",
            lambda out, model, n_beams, max_length: all(len(ids) <= max_length for ids, _ in out),
        ),
        Law("a total is the sum of the log probabilities of its tokens", _pays_for_its_tokens),
        Law(
            "the totals fall from target to target",
            lambda out, *case: all(a[1] >= b[1] for a, b in pairwise(out)),
        ),
    ],
)
