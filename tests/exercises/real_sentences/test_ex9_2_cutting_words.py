import math
import re
from itertools import pairwise

from minattn.subwords import START, Subwords

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def cut_by_package(word, merges):
    return Subwords((START, *sorted(set(word))), tuple(merges)).encode(word)[1:]


def cut_in_order(word, merges):
    """Replay the learning: every merge once, in order."""
    pieces = list(word)
    for first, second in merges:
        out, i = [], 0
        while i < len(pieces):
            if i + 1 < len(pieces) and pieces[i] == first and pieces[i + 1] == second:
                out.append(first + second)
                i += 2
            else:
                out.append(pieces[i])
                i += 1
        pieces = out
    return pieces


def cut_one_at_a_time(word, merges):
    """Join one place only, the leftmost of the best pair, and look again."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    pieces = list(word)
    while len(pieces) > 1:
        found = [ranks.get(pair, math.inf) for pair in pairwise(pieces)]
        i = found.index(min(found))
        if found[i] == math.inf:
            break
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return tuple(pieces)


def cut_again(word, merges):
    """Let the function call itself with the pieces."""
    pieces = list(word)
    for first, second in merges:
        for i, pair in enumerate(pairwise(pieces)):
            if pair == (first, second):
                return cut_again([*pieces[:i], first + second, *pieces[i + 2 :]], merges)
    return pieces


def cut_by_text(word, merges):
    """Look up what two pieces make together, and not the pair."""
    ranks = {first + second: rank for rank, (first, second) in enumerate(merges)}
    pieces = list(word)
    while True:
        made = [first + second for first, second in pairwise(pieces)]
        known = [i for i, text in enumerate(made) if text in ranks]
        if not known:
            return pieces
        i = min(known, key=lambda i: ranks[made[i]])
        pieces[i : i + 2] = [made[i]]


def cut_by_pattern(word, merges):
    text = " ".join(word)
    for first, second in merges:
        text = re.sub(rf"(?<!\S){first} {second}(?!\S)", first + second, text)
    return text.split(" ")


OTHER_WAYS = [
    cut_by_package,
    cut_in_order,
    cut_one_at_a_time,
    cut_again,
    cut_by_text,
    cut_by_pattern,
]


# Wrong ways, written as a learner writes them.


def cut_with_blanks(word, merges):
    for a, b in merges:
        word = word.replace(a + b, " " + a + b + " ")
    return word.split()


def cut_behind_every_pair(word, merges):
    for a, b in merges:
        word = word.replace(a + b, a + b + "|")
    return [piece for piece in word.split("|") if piece]


def cut_by_index(word, merges):
    pieces = list(word)
    while True:
        best = min(zip(pieces, pieces[1:]), key=merges.index)  # noqa: B905, RUF007
        i = 0
        while i < len(pieces) - 1:
            if (pieces[i], pieces[i + 1]) == best:
                pieces[i : i + 2] = ["".join(best)]
            i += 1


def cut_without_an_end(word, merges):
    """Take the smallest of the neighbours, also where there are none."""
    pieces = list(word)
    while True:
        best = min(
            pairwise(pieces),
            key=lambda pair: merges.index(pair) if pair in merges else math.inf,
        )
        if best not in merges:
            return pieces
        i = list(pairwise(pieces)).index(best)
        pieces[i : i + 2] = ["".join(best)]


def cut_by_rank(word, merges):
    ranks = {pair: i for i, pair in enumerate(merges)}
    pieces = list(word)
    while len(pieces) > 1:
        i = min(range(len(pieces) - 1), key=lambda i: ranks[pieces[i], pieces[i + 1]])
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


NEAR_MISSES = [
    ("text_replaced", cut_with_blanks),
    ("text_replaced", cut_behind_every_pair),
    ("no_pair_left", cut_by_index),
    ("no_pair_left", cut_by_rank),
    ("no_pair_left", cut_without_an_end),
]
