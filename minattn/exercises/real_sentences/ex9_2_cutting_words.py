"""Exercise 9.2: cut by the pieces that were learned first."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake
from minattn.exercises.real_sentences.joining import (
    Join,
    Merge,
    join_all_but_the_tail,
    join_first,
    join_from_the_right,
    join_overlapping,
    join_while_counting,
    pairs_of,
)
from minattn.subwords import join


def cut_word(word: str, merges: Sequence[Merge]) -> list[str]:
    """Join, again and again, the pair of neighbours that was learned first."""
    return _by_rank(word, merges)


def _choose(word: str, choose: Callable[[list[Merge]], Merge], merges: Sequence[Merge]) -> Any:
    """Join a pair everywhere, as long as a known one is left; somebody chooses which."""
    pieces = list(word)
    while known := [pair for pair in pairs_of(pieces) if pair in merges]:
        pieces = join(pieces, choose(known))
    return pieces


def _by_rank(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces: list[str] = _choose(word, lambda known: min(known, key=list(merges).index), merges)
    return pieces


def _in_order(join: Join, word: str, merges: Sequence[Merge]) -> list[str]:
    """Go through the merges once, joining in some way."""
    pieces = list(word)
    for pair in merges:
        pieces = join(pieces, pair)
    return pieces


def _one_at(word: str, merges: Sequence[Merge], pick: Callable[[list[int]], int]) -> list[str]:
    """Join one known pair at a time, wherever it stands in the list."""
    pieces = list(word)
    while found := [i for i, pair in enumerate(pairs_of(pieces)) if pair in merges]:
        i = pick(found)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


def _grown(word: str, merges: Sequence[Merge]) -> list[str]:
    """Go through the letters once; a letter joins the piece before it if that makes a known pair."""
    pieces: list[str] = []
    for letter in word:
        if pieces and (pieces[-1], letter) in merges:
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def _passes(word: str, merges: Sequence[Merge]) -> list[str]:
    """Go through the pieces again and again, joining every known pair that is met."""
    pieces, before = list(word), [""]
    while pieces != before:
        before, pieces = pieces, []
        i = 0
        while i < len(before):
            known = tuple(before[i : i + 2]) in merges
            pieces.append("".join(before[i : i + 1 + known]))
            i += 1 + known
    return pieces


def _longest_piece(word: str, merges: Sequence[Merge]) -> list[str]:
    known = {a + b for a, b in merges} | set(word)
    pieces = []
    while word:
        length = max(n for n in range(1, len(word) + 1) if word[:n] in known)
        pieces.append(word[:length])
        word = word[length:]
    return pieces


def _longest_from_the_right(word: str, merges: Sequence[Merge]) -> list[str]:
    turned = _longest_piece(word[::-1], [(b[::-1], a[::-1]) for a, b in merges])
    return [piece[::-1] for piece in turned[::-1]]


def _fewest_pieces(word: str, merges: Sequence[Merge]) -> list[str]:
    known = {a + b for a, b in merges} | set(word)
    best: list[list[str]] = [[]]
    for end in range(1, len(word) + 1):
        starts = (i for i in range(end) if word[i:end] in known)
        best.append(min(([*best[i], word[i:end]] for i in starts), key=len))
    return best[-1]


def _first_merge_found(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    joined = (join(pieces, pair) for pair in merges)
    return next((found for found in joined if found != pieces), pieces)


def _until_one_is_absent(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    for pair in merges:
        joined = join(pieces, pair)
        if joined == pieces:
            break
        pieces = joined
    return pieces


def _replaced(word: str, merges: Sequence[Merge]) -> list[str]:
    text = " ".join(word)
    for a, b in merges:
        text = text.replace(f"{a} {b}", a + b)
    return text.split()


def _blanks_put_in(word: str, merges: Sequence[Merge], before: str, behind: str) -> list[str]:
    for a, b in merges:
        word = word.replace(a + b, before + a + b + behind)
    return word.split()


def _most_frequent(known: list[Merge]) -> Merge:
    return Counter(known).most_common(1)[0][0]


def _always_joins(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    while len(pieces) > 1:
        known = [pair for pair in pairs_of(pieces) if pair in merges]
        pieces = join(pieces, min(known, key=list(merges).index))
    return pieces


def _never_empty(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    while True:
        pair = min(
            pairs_of(pieces),
            key=lambda pair: merges.index(pair) if pair in merges else math.inf,
        )
        if pair not in merges:
            return pieces
        pieces = join(pieces, pair)


def _all_known(
    word: str,
    merges: Sequence[Merge],
    rank: Callable[[Sequence[Merge]], Callable[[Merge], Any]],
    fewest: int,
    join: Join = join,
) -> list[str]:
    """Take the neighbours of the smallest rank, as if all of them had one."""
    pieces = list(word)
    while len(pieces) > fewest:
        pieces = join(pieces, min(pairs_of(pieces), key=rank(merges)))
    return pieces


_RANKS: tuple[Callable[[Sequence[Merge]], Callable[[Merge], Any]], ...] = (
    lambda merges: merges.index,
    lambda merges: {pair: rank for rank, pair in enumerate(merges)}.__getitem__,
    lambda merges: {pair: rank for rank, pair in enumerate(merges)}.get,
)


def _ids(letters: Callable[[str], Sequence[str]]) -> Answer:
    """Make an answer that numbers the pieces: letters first, then what the merges make."""

    def answer(word: str, merges: Sequence[Merge]) -> list[int]:
        known = [*letters(word), *(a + b for a, b in merges)]
        return [known.index(piece) for piece in _by_rank(word, merges)]

    return answer


def _merges(text: str) -> list[Merge]:
    """Read merges, written as in "l+o lo+w"."""
    pairs = (pair.split("+") for pair in text.split())
    return [(a, b) for a, b in pairs]


def _cut_cases() -> list[Case]:
    return [
        ("banana", _merges("n+a a+na a+n na+n b+an b+a")),
        ("mississippi", _merges("s+s ss+i p+i p+p i+s s+i i+ssi i+p")),
        ("entertainment", _merges("e+n a+i t+e t+a m+en m+e en+t n+te")),
        ("schifffahrt", _merges("c+h s+ch f+f a+h i+f f+ah sch+i ah+r i+ff")),
        ("low", _merges("o+w l+ow l+o")),
        ("aaaaaa", _merges("a+a aa+aa")),
        ("o", []),
    ]


EXERCISE = Exercise(
    number="9.2",
    title="Cut by the pieces that were learned first",
    solution=cut_word,
    cases=_cut_cases,
    mistakes=[
        Mistake(
            "longest_piece_first",
            _longest_piece,
            "You take the longest known piece, again and again. Other tokenizers cut so. In byte-pair "
            "encoding a piece exists only if its two halves met: begin with single letters, and join in the "
            "order in which the pairs were learned.",
            also=[_longest_from_the_right, _fewest_pieces],
        ),
        Mistake(
            "by_place",
            partial(_one_at, pick=lambda found: found[0]),
            "You go through the word and join what is found first there. The order of the list decides, not "
            "the place in the word: a pair further to the right goes first if it was learned earlier.",
            also=[_grown, _passes, partial(_one_at, pick=lambda found: found[-1])],
        ),
        Mistake(
            "longest_pair_first",
            lambda word, merges: _choose(
                word, lambda known: max(known, key=lambda pair: len("".join(pair))), merges
            ),
            "Of the pairs that are found you join the one that makes the longest piece. The one that was "
            "learned first goes first, however short it is.",
        ),
        Mistake(
            "most_frequent_first",
            lambda word, merges: _choose(word, _most_frequent, merges),
            "You join the pair that occurs most often in this word. Counting was for learning, with all of "
            "the text. To cut a word nothing is counted: the list says which pair goes first.",
        ),
        Mistake(
            "sorted",
            lambda word, merges: _by_rank(word, sorted(merges)),
            "The pairs are taken in alphabetical order: min or sorted compares the letters of the pairs. "
            "Compare their places in the list instead.",
        ),
        Mistake(
            "last_learned_first",
            lambda word, merges: _by_rank(word, merges[::-1]),
            "You join the pair that was learned last. A small place in the list means early: take the "
            "smallest.",
        ),
        Mistake(
            "stops_after_one",
            _first_merge_found,
            "You stop after one pair was joined. Joining makes new pairs: look again, until none of the "
            "neighbours is in the list.",
            also=[lambda word, merges: join(list(word), merges[0])],
        ),
        Mistake(
            "stops_at_the_first_absent",
            _until_one_is_absent,
            "You stop at the first pair of the list that is not in this word. Later ones may well be: skip "
            "it and go on.",
        ),
        Mistake(
            "letters_only",
            lambda word, merges: _by_rank(word, [m for m in merges if len("".join(m)) == 2]),
            "Only pairs of single letters were joined. A pair may be made of longer pieces, which were "
            "joined before. Look at the neighbours anew after every join.",
        ),
        Mistake(
            "first_occurrence_only",
            partial(_in_order, join_first),
            "You join a pair only where it occurs first, and go on to the next one. A word may have it "
            "several times: join it everywhere.",
        ),
        Mistake(
            "overlap_joined_twice",
            partial(_in_order, join_overlapping),
            "Of three equal letters you made two pairs, so that the one in the middle is used twice. Put "
            "your pieces together: do they spell the word? After a join, go on behind it.",
        ),
        Mistake(
            "from_the_right",
            partial(_in_order, join_from_the_right),
            "The right pair is joined, but from the right end of the word. Of three equal letters the first "
            "two are joined: go from the left.",
        ),
        Mistake(
            "tail_lost",
            partial(_in_order, join_all_but_the_tail),
            "The end of the word is lost. Your loop stops before the last piece, since that has no right "
            "neighbour. If it was not joined, it still has to be kept.",
        ),
        Mistake(
            "shrinks_while_counted",
            partial(_in_order, join_while_counting),
            "Your list becomes shorter while a loop counts through its old length, and the index runs over "
            "the end. Build a new list, or use while with the present length.",
        ),
        Mistake(
            "inside_a_piece",
            _replaced,
            "You replace in a text with blanks between the pieces. There s + t is also found at the end of a "
            "longer piece: in es t, for instance. A pair is joined only if both are whole pieces.",
        ),
        Mistake(
            "text_replaced",
            partial(_blanks_put_in, before=" ", behind=" "),
            "You look for the text a + b in the word, and not for two pieces side by side. So letters that "
            "no pair joins stay together, and a pair of longer pieces is missed, or found where it is not. "
            "Start with list(word), and join neighbours in that list.",
            also=[
                partial(_blanks_put_in, before="", behind=" "),
                partial(_blanks_put_in, before=" ", behind=""),
            ],
        ),
        Mistake(
            "nothing_joined",
            lambda word, merges: list(word),
            "No pair was joined; these are the letters. Do your pairs ever compare as equal? The list holds "
            "tuples: (a, b) is neither [a, b] nor the string a + b.",
        ),
        Mistake(
            "not_cut",
            lambda word, merges: [word],
            "The word is still whole. Begin with its letters, list(word), and join.",
        ),
        Mistake(
            "no_pair_left",
            _never_empty,
            "Not all neighbours are a pair of the list, and in the end none of them is, or the word is a "
            "single piece. Then there is nothing of which you could take the smallest. Keep only the pairs "
            "of the list, and stop if there is none.",
            also=[
                _always_joins,
                *(
                    partial(_all_known, rank=rank, fewest=n, join=join_by)
                    for rank in _RANKS
                    for n in (0, 1)
                    for join_by in (join, join_first)
                ),
                lambda word, merges: (
                    _by_rank(word, merges) if len(_by_rank(word, merges)) > 1 else [][0]
                ),
            ],
        ),
        Mistake(
            "one_string",
            lambda word, merges: " ".join(_by_rank(word, merges)),
            "The pieces are right, but this is one string. The task asks for a list of strings.",
        ),
        Mistake(
            "ids",
            _ids(lambda word: sorted(set(word))),
            "These are numbers. They come later, from the vocabulary; the task asks for the pieces.",
            also=[_ids(lambda word: list(dict.fromkeys(word)))],
        ),
    ],
    laws=[
        Law(
            "the pieces together are the word",
            lambda out, word, merges: "".join(out) == word,
        ),
        Law(
            "every piece is a letter or was made by a pair of the list",
            lambda out, word, merges: all(
                len(piece) == 1 or piece in {a + b for a, b in merges} for piece in out
            ),
        ),
        Law(
            "no two neighbours are left that are a pair of the list",
            lambda out, word, merges: not set(pairs_of(out)) & set(merges),
        ),
    ],
)
