"""Exercise 14.4: from a word for each step to the words."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Ids = list[int]


def collapse(scores: Tensor, lengths: Tensor, blank: int) -> list[Ids]:
    """Return the words of each utterance: its best path, repeats merged, then blanks removed."""
    return _each(scores, lengths, blank)


def _merge(path: Ids) -> Ids:
    return [id_ for i, id_ in enumerate(path) if i == 0 or id_ != path[i - 1]]


def _without(path: Ids, blank: int) -> Ids:
    return [id_ for id_ in path if id_ != blank]


def _merged_first(path: Ids, blank: int) -> Ids:
    return _without(_merge(path), blank)


def _removed_first(path: Ids, blank: int) -> Ids:
    return _merge(_without(path, blank))


def _only_merged(path: Ids, blank: int) -> Ids:
    return _merge(path)


def _once_each(path: Ids, blank: int) -> Ids:
    return list(dict.fromkeys(_without(path, blank)))


def _to_first_blank(path: Ids, blank: int) -> Ids:
    return _merge(path[: path.index(blank)] if blank in path else path)


def _from_first_word(path: Ids, blank: int) -> Ids:
    """Stop at the first blank behind a word, as at an end of the sequence."""
    first = next((i for i, id_ in enumerate(path) if id_ != blank), len(path))
    return _to_first_blank(path[first:], blank)


def _blank_is_0(path: Ids, blank: int) -> Ids:
    return _merged_first(path, 0)


def _changes(path: Ids, blank: int) -> Ids:
    """Keep what differs from the step before, and lose the first step."""
    return [b for a, b in pairwise(path) if b not in (a, blank)]


def _last_of_each(path: Ids, blank: int) -> Ids:
    """Keep what differs from the step behind, and lose the last step."""
    return [a for a, b in pairwise(path) if a not in (b, blank)]


def _each(
    scores: Tensor,
    lengths: Tensor,
    blank: int,
    *,
    words_of: Callable[[Ids, int], Ids] = _merged_first,
    padded: bool = False,
) -> list[Ids]:
    """Collapse the best path of each utterance in some way."""
    paths = scores.argmax(-1).tolist()
    ends = [len(path) if padded else int(n) for path, n in zip(paths, lengths, strict=True)]
    return [words_of(path[:n], blank) for path, n in zip(paths, ends, strict=True)]


def _on_and_on(scores: Tensor, lengths: Tensor, blank: int) -> list[Ids]:
    """Remember the last id from one utterance to the next."""
    last, found = None, []
    for path, n in zip(scores.argmax(-1).tolist(), lengths.tolist(), strict=True):
        words = Ids()
        for id_ in path[:n]:
            if id_ not in (last, blank):
                words.append(id_)
            last = id_
        found.append(words)
    return found


def _case(seed: int, n_words: int, blank: int, *paths: str) -> Case:
    """Make scores with these best paths; behind a bar is padding, where the scores go on."""
    rows = [[int(x) for x in path.replace("|", "")] for path in paths]
    lengths = [path.index("|") if "|" in path else len(path) for path in paths]
    scores = numbers(seed, len(rows), len(rows[0]), n_words)
    for row, path in zip(scores, rows, strict=True):
        for step, id_ in enumerate(path):
            row[step, id_] = row[step].max() + 1
    return scores, torch.tensor(lengths), blank


def _cases() -> list[Case]:
    return [
        _case(1440, 4, 0, "1103330330"),
        _case(1441, 5, 0, "022044020|2", "3333031004"),
        _case(1442, 6, 5, "5115511553355", "5022|335512011", "2255544400015"),
        _case(1443, 4, 3, "3333|2101", "02013301", "11331131"),
        # The first one ends with the word that the next begins with.
        _case(1444, 7, 6, "6446335", "5566551", "1665|022", "0621623"),
    ]


EXERCISE = Exercise(
    number="14.4",
    title="From steps to words",
    solution=collapse,
    cases=_cases,
    mistakes=[
        Mistake(
            "blanks_removed_first",
            partial(_each, words_of=_removed_first),
            "A word that was said twice comes once. The blank between both is what keeps them apart, and you "
            "remove it before you merge. Merge first, step against the step before, and remove the blanks then.",
        ),
        Mistake(
            "not_merged",
            partial(_each, words_of=_without),
            "A word comes once for each step on which it sounds. Steps side by side with the same id are one word: "
            "merge them.",
        ),
        Mistake(
            "blanks_kept",
            partial(_each, words_of=_only_merged),
            "The blanks are still there. A blank says that no word is told on this step; none is left in the "
            "result.",
        ),
        Mistake(
            "each_word_once",
            partial(_each, words_of=_once_each),
            'Every word comes once only, wherever it stands. Words come again: "two seven two" has three. Merge '
            "what stands side by side, and nothing else.",
            also=[lambda *case: [sorted(set(words)) for words in collapse(*case)]],
        ),
        Mistake(
            "ends_at_a_blank",
            partial(_each, words_of=_to_first_blank),
            "You stop at the first blank, as if it were the end of the sequence. It is a pause, or the border of "
            "two words. The utterance ends where its length says.",
            also=[partial(_each, words_of=_from_first_word)],
        ),
        Mistake(
            "padding_read",
            partial(_each, padded=True),
            "You read on behind the end of an utterance. What the model says of padding is nothing: keep the first "
            "`lengths[i]` steps of row i.",
        ),
        Mistake(
            "blank_taken_for_0",
            partial(_each, words_of=_blank_is_0),
            "You take 0 for the blank. Which id it has is a matter of the model: it is given as `blank`.",
        ),
        Mistake(
            "edge_lost",
            partial(_each, words_of=_changes),
            "A word at the first or the last step of an utterance is lost. Nothing stands before the first step, "
            "so nothing can be merged with it. Start with a step before that has no id, and forget it for the "
            "next utterance.",
            also=[partial(_each, words_of=_last_of_each), _on_and_on],
        ),
    ],
    laws=[
        Law(
            "no blank is left",
            lambda out, scores, lengths, blank: all(blank not in words for words in out),
        ),
        Law(
            "there are no more words than steps",
            lambda out, scores, lengths, blank: all(
                len(words) <= n for words, n in zip(out, lengths.tolist(), strict=True)
            ),
        ),
    ],
)
