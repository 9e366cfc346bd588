"""Exercise 1.3: the shift."""

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.vocabulary import BOS, EOS, PAD


def shift(target: list[int]) -> tuple[list[int], list[int]]:
    """Make what the decoder reads and what it has to answer."""
    return [BOS, *target], [*target, EOS]


EXERCISE = Exercise(
    number="1.3",
    title="The shift",
    solution=shift,
    cases=lambda: [([5, 7],), ([4],), ([9, 3, 3, 8, 6],)],
    mistakes=[
        Mistake(
            "unshifted",
            lambda t: ([BOS, *t, EOS], [BOS, *t, EOS]),
            "Input and answer are the same. The decoder would only have to copy the token it has just "
            "read: the loss falls to almost nothing, and nothing is learned. Write the two lists one "
            "below the other: above each answer should stand the token that comes before it.",
            also=[
                lambda t: (t, t),
                lambda t: ([BOS, *t], [BOS, *t]),
                lambda t: ([*t, EOS], [*t, EOS]),
            ],
        ),
        Mistake(
            "wrong_way",
            lambda t: ([*t, EOS], [BOS, *t]),
            "The shift goes the wrong way: the decoder would read a word and be asked for the one before "
            "it. At the start of a translation no word is known yet. What can the decoder read then?",
            also=[lambda t: ([*t, EOS], [BOS, *t[:-1], EOS])],
        ),
        Mistake(
            "no_eos",
            lambda t: ([BOS, *t[:-1]], t),
            "The decoder is never asked for EOS, so it never learns to stop. What should it answer after "
            "it has read the last word?",
            also=[lambda t: ([BOS, *t], t)],
        ),
        Mistake(
            "no_bos",
            lambda t: (t, [*t[1:], EOS]),
            "The decoder starts by reading the first word, so nobody ever asks it for that word. When it "
            "translates by itself, it has to find it. What can it read when no word is there yet?",
        ),
        Mistake(
            "bos_missing",
            lambda t: (t, [*t, EOS]),
            "The answer is right, but the input lacks its first token, so it is one shorter, and each word "
            "stands above itself. What can the decoder read when no word is there yet?",
        ),
        Mistake(
            "eos_in_input",
            lambda t: ([BOS, *t, EOS], [*t, EOS]),
            "The input still has EOS at its end, so it is one longer than the answer. When EOS has been "
            "said the sentence is over: there is nothing to answer after it.",
        ),
        Mistake(
            "answer_filled",
            lambda t: ([BOS, *t, EOS], [*t, EOS, PAD]),
            "The input still has EOS at its end, and the answer got PAD to be as long. When EOS has been "
            "said the sentence is over: nothing is read after it, and nothing is to be answered.",
        ),
        Mistake(
            "bos_in_answer",
            lambda t: ([BOS, *t], [BOS, *t, EOS]),
            "The answer still begins with BOS, so it is one longer than the input. BOS is given to the "
            "decoder, which never has to say it.",
        ),
        Mistake(
            "specials_exchanged",
            lambda t: ([EOS, *t], [*t, BOS]),
            "The shift is right, but BOS and EOS have changed places. BOS is 1 and stands for the "
            "beginning.",
        ),
    ],
    laws=[
        Law("both lists have the same length", lambda out, t: len(out[0]) == len(out[1])),
        Law(
            "each answer is the next input",
            lambda out, t: list(out[0][1:]) == list(out[1][:-1]),
        ),
    ],
)
