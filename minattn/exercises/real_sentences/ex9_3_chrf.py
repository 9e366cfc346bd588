"""Exercise 9.3: chrF by hand."""

from functools import partial
from typing import Any

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.real_sentences.chrf_ways import (
    MEANS,
    averaged,
    by_place,
    combined,
    different,
    different_runs,
    each_its_own,
    f_beta,
    f_of_each_order,
    geometric,
    mean_of_all,
    missing_as_zero,
    pieces_of,
    pooled,
    runs_but_the_last,
    runs_of_words,
    runs_with_a_tail,
    score,
    summed,
    unclipped,
    unclipped_by_one,
    unguarded,
    weighted,
    without_blanks,
    without_guard,
)


def chrf(hypothesis: str, reference: str, n: int, beta: float) -> float:
    """Average precision and recall over runs of 1 to n characters, and combine them."""
    return score(hypothesis, reference, n, beta)


def _without_brackets_above(precision: float, recall: float, beta: float) -> float:
    if precision + recall == 0:
        return 0.0
    return 1 + beta**2 * precision * recall / (beta**2 * precision + recall)


def _without_brackets_below(precision: float, recall: float, beta: float) -> float:
    return (1 + beta**2) * precision * recall / beta**2 * precision + recall


def _rounded(digits: int | None) -> Any:
    return lambda *case: round(chrf(*case), digits)


def _chrf_cases() -> list[Case]:
    return [
        ("a tree", "the tree", 3, 2),
        ("the the the the", "The page is in the list", 4, 2),
        ("Delete the image", "Delete the images", 6, 2),
        ("Delete all", "Delete all old images", 3, 3),
        ("Sign out here now!", "Log out", 3, 1),
        ("save it and go on", "Go on and save", 4, 0.5),
        ("Yes", "Yes!", 6, 2),
        ("No way", "No", 4, 2),
        ("on", "Yes", 2, 2),
        ("", "Yes", 3, 2),
    ]


EXERCISE = Exercise(
    number="9.3",
    title="chrF by hand",
    solution=chrf,
    cases=_chrf_cases,
    mistakes=[
        Mistake(
            "not_times_100",
            partial(score, times=1.0),
            "Your number is a hundredth of what is asked for. chrF goes from 0 to 100: multiply at the end.",
        ),
        Mistake(
            "rounded",
            _rounded(2),
            "The result is rounded. Round when you print; here the number is wanted as it is.",
            also=[_rounded(1), _rounded(None), lambda *case: int(chrf(*case))],
        ),
        Mistake(
            "words",
            partial(score, clean=lambda text: tuple(text.split())),
            "You count words. Then image and images have nothing in common, and a wrong ending costs as "
            "much as a wrong word. chrF counts characters.",
        ),
        Mistake(
            "within_words",
            partial(score, clean=lambda text: tuple(text.split()), cut=runs_of_words),
            "Your runs end where a word ends. Remove the blanks first, for the whole sentence, and then cut: "
            "a tree has the run at.",
        ),
        Mistake(
            "blanks_kept",
            partial(score, clean=str),
            "The blanks are still there, and runs with a blank count too. Remove them from both sentences "
            "before you cut.",
            also=[
                partial(score, clean=lambda text: f" {text} "),
                partial(score, clean=lambda text: text.strip()),
            ],
        ),
        Mistake(
            "lower_case",
            partial(score, clean=lambda text: without_blanks(text).lower()),
            "Capital and small letters are the same to you. Here T and t are two characters: compare them as "
            "they are written.",
        ),
        Mistake(
            "signs_removed",
            partial(score, clean=lambda text: "".join(filter(str.isalnum, text))),
            "Full stops and other signs are gone. Only blanks are removed; an exclamation mark is a "
            "character like any other.",
        ),
        Mistake(
            "not_clipped",
            partial(score, match=unclipped),
            "A run that one sentence repeats is a match each time, even if the other has it once. Then every "
            "letter of the the the the would match. Of a run no more match than both sentences have: take "
            "the smaller count.",
            also=[
                partial(score, match=partial(unclipped_by_one, of_hypothesis=True)),
                partial(score, match=partial(unclipped_by_one, of_hypothesis=False)),
            ],
        ),
        Mistake(
            "sets",
            partial(score, cut=different_runs),
            "Each run counts once, however often it is there: a set or the keys of a dict forget how often. "
            "Use counts: a run that both have twice is two matches.",
            also=[partial(score, match=different)],
        ),
        Mistake(
            "by_place",
            partial(score, match=by_place),
            "You compare what stands at the same place in both sentences. One character too many at the "
            "beginning, and nothing matches. A run may stand anywhere: compare how often each is there.",
        ),
        Mistake(
            "last_run_lost",
            partial(score, cut=runs_but_the_last),
            "The last run of each order is missing. A text of 5 characters has 4 runs of 2: range needs "
            "len(text) - order + 1.",
        ),
        Mistake(
            "tail_kept",
            partial(score, cut=runs_with_a_tail),
            "At the end of the text your runs become shorter, for a slice stops there without an error. The "
            "last run begins order characters before the end.",
        ),
        Mistake(
            "cut_in_pieces",
            partial(score, cut=pieces_of),
            "You cut the text into pieces that do not overlap. A run begins at every character: tree has "
            "tr, re and ee.",
        ),
        Mistake(
            "other_orders",
            partial(score, orders=lambda n: range(1, n)),
            "The orders are not 1 to n. range(1, n) stops before n, and range(n) begins at 0, with runs of "
            "no character at all: use range(1, n + 1).",
            also=[
                partial(score, orders=range),
                partial(score, orders=lambda n: range(n + 1)),
                partial(score, orders=lambda n: range(2, n + 1)),
            ],
        ),
        Mistake(
            "one_order_only",
            partial(score, orders=lambda n: [n]),
            "Only runs of n characters count. Take all orders from 1 to n, and average: long runs see the "
            "order of words, single characters see whether anything is there.",
            also=[partial(score, orders=lambda n: [1])],
        ),
        Mistake(
            "pooled",
            averaged(pooled),
            "You add up the runs of all orders and divide once. Then a text has more short runs than long "
            "ones, and these weigh more. Divide for each order, and average the fractions.",
        ),
        Mistake(
            "summed",
            averaged(summed),
            "You add up precision and recall over the orders, and do not divide by their number. So the "
            "result may be above 100. Take the mean of each before you compute F.",
        ),
        Mistake(
            "f_of_each_order",
            f_of_each_order,
            "You compute F for each order and average that. Some programs do, and so their numbers differ a "
            "little. Here precision and recall are averaged first, and F is computed once.",
            also=[partial(f_of_each_order, missing=True)],
        ),
        Mistake(
            "geometric",
            averaged(geometric),
            "You take the geometric mean over the orders, as BLEU does. There one order without a match "
            "makes everything zero. chrF takes the plain mean.",
        ),
        Mistake(
            "missing_is_zero",
            averaged(missing_as_zero),
            "An order of which a sentence has no runs counts as zero. Yes for Yes would then fall short "
            "of 100. Leave such an order out: divide by the number of orders that are left.",
        ),
        Mistake(
            "missing_on_one_side",
            averaged(each_its_own),
            "If only one of the two sentences is too short for an order, you leave it out for that one alone. "
            "Leave it out for both precision and recall.",
        ),
        Mistake(
            "swapped",
            combined(lambda precision, recall, beta: f_beta(recall, precision, beta)),
            "Precision and recall have changed places, or beta stands at the wrong one. Precision divides by "
            "the runs of the hypothesis. With beta above 1 recall is worth more: beta**2 goes with precision "
            "below the fraction line.",
        ),
        Mistake(
            "f1",
            combined(lambda precision, recall, beta: f_beta(precision, recall, 1)),
            "Precision and recall count the same: this is F1, and beta is not used. With beta = 2 recall is "
            "worth twice as much, so that what is missing costs most.",
        ),
        Mistake(
            "beta_not_squared",
            combined(partial(weighted, above=lambda beta: 1 + beta, below=lambda beta: beta)),
            "beta is not squared, or not at both places. It stands in the formula twice, as beta**2.",
            also=[
                combined(
                    partial(weighted, above=lambda beta: 1 + beta**2, below=lambda beta: beta)
                ),
                combined(
                    partial(weighted, above=lambda beta: 1 + beta, below=lambda beta: beta**2)
                ),
                combined(partial(weighted, above=lambda b: (1 + b) ** 2, below=lambda b: b**2)),
            ],
        ),
        Mistake(
            "factor_missing",
            combined(partial(weighted, above=lambda beta: 1, below=lambda beta: beta**2)),
            "The factor 1 + beta**2 is missing above the fraction line. Without it two equal sentences get "
            "20, with beta = 2.",
            also=[combined(partial(weighted, above=lambda beta: 2, below=lambda beta: beta**2))],
        ),
        Mistake(
            "brackets",
            combined(_without_brackets_above),
            "Brackets are missing in F. Python multiplies and divides before it adds: write "
            "(1 + beta**2) * P * R / (beta**2 * P + R).",
            also=[combined(_without_brackets_below)],
        ),
        Mistake(
            "recall_alone",
            combined(lambda precision, recall, beta: recall),
            "This is recall, whatever the precision. Did you divide by the runs of the reference both times? "
            "Who writes every word there is would get 100.",
        ),
        Mistake(
            "precision_alone",
            combined(lambda precision, recall, beta: precision),
            "This is precision, whatever the recall. Did you divide by the runs of the hypothesis both times? "
            "Who writes a single right letter would get 100.",
        ),
        Mistake(
            "plain_mean",
            combined(lambda precision, recall, beta: (precision + recall) / 2),
            "This is the plain mean of precision and recall. F is near the smaller of the two, so that "
            "neither can make up for the other. Use the formula of the task.",
            also=[
                combined(
                    lambda precision, recall, beta: (precision + beta**2 * recall) / (1 + beta**2)
                ),
                combined(lambda precision, recall, beta: (precision + beta * recall) / (1 + beta)),
            ],
        ),
        Mistake(
            "nothing_to_divide_by",
            averaged(mean_of_all, combine=unguarded),
            "A sentence may be too short for an order, or empty. Then there are no runs to divide by: leave "
            "that order out before you divide.",
            also=[averaged(mean_of_all)],
        ),
        Mistake(
            "nothing_matches",
            combined(unguarded),
            "If nothing matches, precision and recall are both 0, and F is 0 divided by 0. Return 0 then.",
        ),
        Mistake(
            "no_order_left",
            without_guard(MEANS[0]),
            "An empty sentence has no runs of any order, so no order is left to average over. Return 0 then.",
            also=[
                *map(without_guard, MEANS[1:]),
                *(partial(without_guard(mean), combine=unguarded) for mean in MEANS),
            ],
        ),
    ],
    laws=[
        Law(
            "the score lies between 0 and 100",
            lambda out, *case: -1e-6 <= out <= 100 + 1e-6,
        ),
    ],
)
