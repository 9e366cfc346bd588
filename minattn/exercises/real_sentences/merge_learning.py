"""Right and wrong ways to learn merges, for exercise 9.1."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minattn.exercises.exercise import Answer
from minattn.exercises.real_sentences.joining import Join, Merge, pairs_of
from minattn.subwords import join

Counts = Mapping[str, int]
Pieces = dict[str, list[str]]
"""The pieces that every word is made of so far."""


def count_pairs(pieces: Pieces, counts: Counts) -> Counter[Merge]:
    """Count every pair of neighbours, each word as often as it occurs."""
    total: Counter[Merge] = Counter()
    for word, parts in pieces.items():
        for pair in pairs_of(parts):
            total[pair] += counts[word]
    return total


def most_frequent(total: Counter[Merge]) -> Merge:
    """Choose the largest count, and of equal ones the first pair in alphabetical order."""
    return min(total, key=lambda pair: (-total[pair], pair))


def join_in_all(pieces: Pieces, pair: Merge, join: Join = join) -> Pieces:
    """Join a pair in every word."""
    return {word: join(parts, pair) for word, parts in pieces.items()}


def learn(
    counts: Counts,
    n_merges: int,
    *,
    begin: Callable[[str], list[str]] = list,
    count: Callable[[Pieces, Counts], Counter[Merge]] = count_pairs,
    choose: Callable[[Counter[Merge]], Merge] = most_frequent,
    join_in: Callable[[Pieces, Merge], Pieces] = join_in_all,
) -> list[Merge]:
    """Learn merges, with one of the steps done in another way."""
    pieces = {word: begin(word) for word in counts}
    merges: list[Merge] = []
    while len(merges) < n_merges and (total := count(pieces, counts)):
        merges.append(choose(total))
        pieces = join_in(pieces, merges[-1])
    return merges


def choosing(choose: Callable[[Counter[Merge]], Merge]) -> Answer:
    """Make an answer that chooses another pair."""
    return partial(learn, choose=choose)


def joining_by(join: Join) -> Answer:
    """Make an answer that joins in another way within a word."""
    return partial(learn, join_in=partial(join_in_all, join=join))


def beginning(begin: Callable[[str], list[str]]) -> Answer:
    """Make an answer that begins with other pieces of a word."""
    return partial(learn, begin=begin)


def counting(neighbours: Callable[[list[str]], Any]) -> Answer:
    """Make an answer that takes other pairs of a word for its neighbours."""

    def count(pieces: Pieces, counts: Counts) -> Counter[Merge]:
        total: Counter[Merge] = Counter()
        for word, parts in pieces.items():
            for pair in neighbours(parts):
                total[pair] += counts[word]
        return total

    return partial(learn, count=count)


def without_overlap(parts: list[str]) -> list[Merge]:
    """Return each pair as often as it can be joined."""
    different = dict.fromkeys(pairs_of(parts))
    return [pair for pair in different for _ in range(len(parts) - len(join(parts, pair)))]


def count_last_word(pieces: Pieces, counts: Counts) -> Counter[Merge]:
    """Count, and keep of several counts of a pair only the last."""
    return Counter({pair: counts[w] for w, parts in pieces.items() for pair in pairs_of(parts)})


def count_two_or_more(pieces: Pieces, counts: Counts) -> Counter[Merge]:
    """Count, and forget what occurs once."""
    found = count_pairs(pieces, counts).items()
    return Counter({pair: times for pair, times in found if times > 1})


def from_one_count(counts: Counts, n_merges: int, choose: str = "alphabet") -> list[Merge]:
    """Take all merges from the pairs of letters."""
    total = count_pairs({word: list(word) for word in counts}, counts)
    if choose == "alphabet":
        return sorted(total, key=lambda pair: (-total[pair], pair))[:n_merges]
    return [pair for pair, _ in total.most_common(n_merges)]


def as_one_text(counts: Counts, n_merges: int, between: str) -> list[Merge]:
    """Put the words one behind the other, each as often as it occurs, with something between."""
    words = [word for word, times in counts.items() for _ in range(times)]
    return learn({between.join(words): 1}, n_merges)


def count_across(pieces: Pieces, counts: Counts) -> Counter[Merge]:
    """Count also the last piece of a word with the first one of the next."""
    total, last = count_pairs(pieces, counts), ""
    for word, parts in pieces.items():
        if last:
            total[last, parts[0]] += counts[word]
        last = parts[-1]
    return total


def join_in_one_word(pieces: Pieces, pair: Merge) -> Pieces:
    """Join the pair in the first word that has it."""
    word = next(word for word, parts in pieces.items() if pair in pairs_of(parts))
    return {**pieces, word: join(pieces[word], pair)}


def joined_in_most_frequent(counts: Counts, n_merges: int) -> list[Merge]:
    """Join only in the most frequent word that has the pair."""
    return learn(
        dict(sorted(counts.items(), key=lambda item: -item[1])), n_merges, join_in=join_in_one_word
    )


def join_anew(pieces: Pieces, pair: Merge) -> Pieces:
    """Join the pair in the letters of every word, as if nothing had been joined before."""
    return {word: join(list(word), pair) for word in pieces}


def joined_as_text(parts: Any, pair: Merge) -> list[str]:
    """Join by replacing in a text with blanks between the pieces."""
    return " ".join(parts).replace(" ".join(pair), "".join(pair)).split()


def to_the_end(
    counts: Counts,
    n_merges: int,
    choose: Callable[[Counter[Merge]], Merge],
    forget: bool = True,
) -> list[Merge]:
    """Choose as often as it was asked for, whether a pair is left or not."""
    pieces = {word: list(word) for word in counts}
    merges: list[Merge] = []
    total: Counter[Merge] = Counter()
    for _ in range(n_merges):
        total = Counter({} if forget else dict.fromkeys(total, 0))
        total.update(count_pairs(pieces, counts))
        merges.append(choose(total))
        pieces = join_in_all(pieces, merges[-1])
    return merges


def filled_up(counts: Counts, n_merges: int, repeat: bool) -> list[Any]:
    """Fill up with the last merge or with None."""
    merges = learn(counts, n_merges)
    last = merges[-1] if merges and repeat else None
    return [*merges, *[last] * (n_merges - len(merges))]


def words_cut(counts: Counts, n_merges: int) -> Pieces:
    """Return the words, cut as they are at the end."""
    pieces = {word: list(word) for word in counts}
    for pair in learn(counts, n_merges):
        pieces = join_in_all(pieces, pair)
    return pieces


def with_counts(counts: Counts, n_merges: int) -> list[tuple[Merge, int]]:
    """Return each merge with its count."""
    merges = learn(counts, n_merges)
    return [
        (pair, count_pairs(words_cut(counts, number), counts)[pair])
        for number, pair in enumerate(merges)
    ]


def vocabulary(counts: Counts, n_merges: int) -> list[str]:
    """Return the letters, and what the merges make."""
    return [*sorted(set("".join(counts))), *map("".join, learn(counts, n_merges))]
