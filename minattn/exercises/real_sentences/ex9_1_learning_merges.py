"""Exercise 9.1: learn the merges of byte-pair encoding."""

from functools import partial

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.real_sentences.joining import (
    Merge,
    join_all_but_the_tail,
    join_first,
    join_from_the_right,
    join_overlapping,
    join_while_counting,
    pairs_of,
)
from minattn.exercises.real_sentences.merge_learning import (
    Counts,
    as_one_text,
    beginning,
    choosing,
    count_across,
    count_last_word,
    count_two_or_more,
    counting,
    filled_up,
    from_one_count,
    join_anew,
    join_in_one_word,
    joined_as_text,
    joined_in_most_frequent,
    joining_by,
    learn,
    most_frequent,
    to_the_end,
    vocabulary,
    with_counts,
    without_overlap,
    words_cut,
)


def learn_merges(counts: Counts, n_merges: int) -> list[Merge]:
    """Count all pairs of neighbours, join the most frequent one everywhere, and do that again."""
    return learn(counts, n_merges)


def _merge_cases() -> list[Case]:
    return [
        ({"see": 5, "seen": 3, "bee": 2}, 3),
        ({"hat": 5, "that": 3, "flat": 2, "oats": 2, "meat": 2}, 6),
        ({"banana": 3, "nab": 2, "cabin": 4}, 7),
        ({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 9),
        ({"yes": 4, "test": 2, "stir": 3}, 6),
        ({"aaaab": 2, "aaa": 3, "baa": 2, "cd": 11}, 4),
        ({"an": 4, "and": 2, "as": 2, "at": 1, "a": 3}, 6),
        ({"o": 3}, 2),
    ]


EXERCISE = Exercise(
    number="9.1",
    title="Learn the merges",
    solution=learn_merges,
    cases=_merge_cases,
    mistakes=[
        Mistake(
            "counts_ignored",
            lambda counts, n_merges: learn(dict.fromkeys(counts, 1), n_merges),
            "Every word counts once. A word that occurs five times in the text brings each of its pairs five "
            "times: add counts[word], not 1.",
        ),
        Mistake(
            "counted_once",
            from_one_count,
            "All pairs come from the first count. A join makes new neighbours and takes old ones away, so a "
            "pair that was frequent may be gone. Join one pair, and count anew.",
            also=[partial(from_one_count, choose="met")],
        ),
        Mistake(
            "never_joined",
            partial(learn, join_in=lambda pieces, pair: pieces),
            "The same pair comes again and again: it is never joined, or what you made of the words is not "
            "what you count. The pieces after a join are what the next count needs.",
        ),
        Mistake(
            "begins_anew",
            partial(learn, join_in=join_anew),
            "Each round begins with single letters again and joins only the newest pair. Keep the pieces of "
            "every word from round to round, or no pair is ever made of longer pieces.",
        ),
        Mistake(
            "across_words",
            partial(as_one_text, between=""),
            "You count pairs across the end of a word, as in one long text. The words are counted, and their "
            "order in the text is not known: neighbours are pieces of the same word.",
            also=[
                partial(as_one_text, between=" "),
                partial(learn, count=count_across),
            ],
        ),
        Mistake(
            "overwritten",
            partial(learn, count=count_last_word),
            "A pair has the count of one word only, the last one that has it. Several words may have the "
            "same pair, and one word may have it twice: add up, with += on a Counter or a defaultdict.",
        ),
        Mistake(
            "once_per_word",
            counting(lambda parts: dict.fromkeys(pairs_of(parts))),
            "A pair that a word has twice is counted once there. banana has a, n twice: count every place, "
            "and do not make a set of the neighbours.",
        ),
        Mistake(
            "overlap_counted_once",
            counting(without_overlap),
            "Where places of a pair overlap, you count only those that can be joined. Here every two "
            "neighbours count, so aaa has a, a twice. (str.count leaves out what overlaps.)",
        ),
        Mistake(
            "every_second",
            counting(lambda parts: zip(parts[::2], parts[1::2], strict=False)),
            "You cut the word into pairs, the first two pieces, the next two. Each piece has two neighbours: "
            "the second with the third is a pair as well. zip(pieces, pieces[1:]) gives all.",
        ),
        Mistake(
            "first_met",
            choosing(lambda total: max(total, key=lambda pair: total[pair])),
            "Of pairs that are equally frequent you take the one that was met first: max and most_common do "
            "that, or sorted the last. Then the order of the words would matter. Take the first in "
            "alphabetical order, for instance by min over (-count, pair).",
            also=[choosing(lambda total: sorted(total, key=lambda pair: total[pair])[-1])],
        ),
        Mistake(
            "last_in_the_alphabet",
            choosing(lambda total: max(total, key=lambda pair: (total[pair], pair))),
            "Of pairs that are equally frequent you take the last in alphabetical order: max over "
            "(count, pair) wants both large. Take the first, for instance by min over (-count, pair).",
        ),
        Mistake(
            "compared_as_one_string",
            choosing(lambda total: min(total, key=lambda pair: (-total[pair], "".join(pair)))),
            "Of pairs that are equally frequent you compare the joined strings. Compare the first pieces, and "
            "the second ones only if the first are the same, as Python does with tuples.",
        ),
        Mistake(
            "longest_first",
            choosing(lambda total: min(total, key=lambda p: (-total[p], -len("".join(p)), p))),
            "You prefer the pair that makes the longest piece. Length does not matter: the count decides, "
            "and of equal counts the alphabet.",
            also=[
                choosing(lambda total: min(total, key=lambda p: (-len("".join(p)), -total[p], p))),
                choosing(lambda total: min(total, key=lambda p: (-len("".join(p)) * total[p], p))),
            ],
        ),
        Mistake(
            "rarest_first",
            choosing(lambda total: min(total, key=lambda pair: (total[pair], pair))),
            "You join the rarest pair. What is frequent should become one piece: take the largest count.",
        ),
        Mistake(
            "in_one_word_only",
            partial(learn, join_in=join_in_one_word),
            "You join the pair in one word and leave it in the others. It is joined in every word that has "
            "it, or it will be learned again.",
            also=[joined_in_most_frequent],
        ),
        Mistake(
            "first_occurrence_only",
            joining_by(join_first),
            "You join a pair only where a word has it first. A word may have it several times: join it "
            "everywhere.",
        ),
        Mistake(
            "overlap_joined_twice",
            joining_by(join_overlapping),
            "Of three equal letters you made two joined pairs, so that the one in the middle is used twice. "
            "It may be counted twice, but a word must not grow: after a join, go on behind it.",
        ),
        Mistake(
            "from_the_right",
            joining_by(join_from_the_right),
            "The right pair is joined, but from the right end of the word. Of three equal letters the first "
            "two are joined: go from the left.",
        ),
        Mistake(
            "tail_lost",
            joining_by(join_all_but_the_tail),
            "The end of a word is lost in a join. Your loop stops before the last piece, since that has no "
            "right neighbour. If it was not joined, it still has to be kept.",
        ),
        Mistake(
            "shrinks_while_counted",
            joining_by(join_while_counting),
            "Your list becomes shorter while a loop counts through its old length, and the index runs over "
            "the end. Build a new list, or use while with the present length.",
        ),
        Mistake(
            "inside_a_piece",
            joining_by(joined_as_text),
            "You replace in a text with blanks between the pieces. There s + t is also found at the end of a "
            "longer piece: in es t, for instance. A pair is joined only if both are whole pieces.",
        ),
        Mistake(
            "mark_added",
            beginning(lambda word: [*word, "</w>"]),
            "A mark at the end or the beginning of every word takes part. The paper sets one, and so does "
            "this chapter. Here the words come as they are: begin with list(word).",
            also=[
                beginning(lambda word: list(f"{word}</w>")),
                beginning(lambda word: [*word[:-1], f"{word[-1]}</w>"]),
                *(beginning(partial(lambda mark, word: [mark, *word], mark)) for mark in "▁_ "),
                *(beginning(partial(lambda mark, word: [*word, mark], mark)) for mark in "▁_ "),
            ],
        ),
        Mistake(
            "wants_two",
            partial(learn, count=count_two_or_more),
            "You stop when no pair occurs twice. Many programs do, and they are right that little is learned "
            "from one occurrence. The task goes on as long as there is any pair.",
        ),
        Mistake(
            "one_too_few",
            lambda counts, n_merges: learn(counts, n_merges - 1),
            "One pair is missing at the end. Does your loop run n_merges times, and does it keep the last "
            "pair that it finds?",
        ),
        Mistake(
            "one_too_many",
            lambda counts, n_merges: learn(counts, n_merges + 1),
            "There is one pair too many. Stop when n_merges pairs are learned: < and not <=.",
            also=[lambda counts, n_merges: learn(counts, len("".join(counts)))],
        ),
        Mistake(
            "no_pair_left",
            partial(to_the_end, choose=most_frequent),
            "If every word is a single piece, no pair is left, and then there is nothing of which you could "
            "take the largest. That may be so before n_merges are learned, or at once. Stop there.",
            also=[
                partial(
                    to_the_end, choose=lambda total: max(sorted(total), key=lambda p: total[p])
                ),
                partial(
                    to_the_end,
                    choose=lambda total: sorted(total, key=lambda p: (-total[p], p))[0],
                ),
            ],
        ),
        Mistake(
            "goes_on_with_nothing",
            partial(to_the_end, choose=most_frequent, forget=False),
            "No pair is left, and you still add some: pairs that were there before and now occur zero "
            "times. Stop when the largest count is zero, even if fewer than n_merges are learned.",
            also=[
                partial(filled_up, repeat=True),
                partial(filled_up, repeat=False),
            ],
        ),
        Mistake(
            "joined_strings",
            lambda counts, n_merges: ["".join(pair) for pair in learn(counts, n_merges)],
            "The order is right, but these are strings. From see nobody can tell whether s + ee or se + e "
            "was joined, and a new word could not be cut: return the pairs.",
            also=[
                lambda counts, n_merges: [" ".join(pair) for pair in learn(counts, n_merges)],
                lambda counts, n_merges: ["+".join(pair) for pair in learn(counts, n_merges)],
            ],
        ),
        Mistake(
            "with_counts",
            with_counts,
            "Each pair comes with its count, as most_common returns it. The task asks for the pairs alone.",
        ),
        Mistake(
            "vocabulary",
            vocabulary,
            "This is the vocabulary: the letters, and what the joins make. The task asks for the pairs that "
            "are joined, in the order in which they were learned.",
        ),
        Mistake(
            "words_cut",
            lambda counts, n_merges: list(words_cut(counts, n_merges).values()),
            "These are the words, cut into pieces. The task asks for what was learned from them: the pairs, "
            "in the order in which they were joined.",
            also=[words_cut],
        ),
    ],
    laws=[
        Law(
            "no more pairs than n_merges",
            lambda out, counts, n_merges: len(out) <= n_merges,
        ),
        Law(
            "every piece of a pair is a letter or was made by an earlier pair",
            lambda out, counts, n_merges: all(
                len(piece) == 1 or piece in map("".join, out[:i])
                for i, pair in enumerate(out)
                for piece in pair
            ),
        ),
        Law(
            "what a pair makes is a part of a word",
            lambda out, counts, n_merges: all(
                any("".join(pair) in word for word in counts) for pair in out
            ),
        ),
    ],
)
