"""Exercise 1.6: greedy translation of a batch."""

from functools import partial

import torch

from minattn.exercises.context_vector.batch_translator import ToyTranslator, greedy_rows, translate
from minattn.exercises.context_vector.greedy_ways import (
    begin_for_each,
    by_previous_word,
    decoded,
    filled_up,
    first_row_ended,
    in_order_of_ending,
    loop_for_one,
    never_ended,
    none_for_limit_0,
    one_begin,
    one_list_for_all,
    one_list_looked_at,
    one_step_more,
    row_by_row,
    stacked_again,
    uncut,
    until_last_eos,
    words_said,
)
from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.vocabulary import BOS, EOS, PAD

EXERCISE = Exercise(
    number="1.6",
    title="Greedy translation of a batch",
    solution=greedy_rows,
    cases=lambda: [
        (ToyTranslator(), torch.tensor([[4, 2, 0], [6, 5, 2]]), 7),
        (ToyTranslator(), torch.tensor([[7, 4, 2], [3, 2, 0], [5, 2, 0]]), 11),
        (ToyTranslator(), torch.tensor([[60, 9, 6, 2], [5, 8, 2, 0]]), 5),
        (ToyTranslator(), torch.tensor([[6, 3, 5, 2], [6, 7, 2, 0], [4, 9, 2, 0]]), 4),
        (ToyTranslator(), torch.tensor([[5, 4, 2]]), 6),
        (ToyTranslator(), torch.tensor([[4, 2], [8, 2]]), 1),
        (ToyTranslator(), torch.tensor([[4, 2], [8, 2]]), 0),
    ],
    mistakes=[
        Mistake(
            "loop_for_one_sentence",
            loop_for_one(one_begin, lambda word: word.item() == EOS, lambda word: word.item()),
            "One token goes into step, where a batch needs one for each row. The loop for one sentence "
            "begins with a single BOS; here every sentence begins, so there are as many as rows.",
        ),
        Mistake(
            "number_of_a_batch",
            loop_for_one(begin_for_each, lambda word: word.item() == EOS, lambda word: word.item()),
            "item(), int() and if want one number, and there is a word for each row now. One word alone "
            "cannot end the loop any more: what has to be known of each row, and what of all of them?",
            also=[
                loop_for_one(begin_for_each, lambda word: int(word) == EOS, int),
                loop_for_one(begin_for_each, lambda word: word == EOS, lambda word: word.tolist()),
            ],
        ),
        Mistake(
            "argmax_over_rows",
            loop_for_one(
                begin_for_each,
                lambda word: (word == EOS).all(),
                lambda word: word.tolist(),
                lambda logits: logits.argmax(dim=0),
            ),
            "The argmax is not taken over the words of each row. The logits have the shape (batch, vocab), "
            "and the next token the shape (batch,). Which dimension has to go?",
            also=[
                loop_for_one(
                    begin_for_each,
                    lambda word: (word == EOS).all(),
                    lambda word: word.tolist(),
                    lambda logits: logits.argmax(),
                )
            ],
        ),
        Mistake(
            "stops_with_the_first",
            decoded(enough=torch.any),
            "Your loop stops when one sentence has ended, and cuts the others off. They end at different "
            "steps. When may it stop?",
            also=[
                decoded(enough=first_row_ended),
                uncut(enough=torch.any),
                uncut(enough=first_row_ended),
            ],
        ),
        Mistake(
            "goes_on_after_eos",
            uncut(),
            "Some lists go on after EOS. The model has to be asked as long as one sentence is unfinished, "
            "and it answers for all rows. What it says in a row that has ended means nothing: leave it out.",
            also=[uncut(enough=never_ended), uncut(remember=False)],
        ),
        Mistake(
            "ending_forgotten",
            by_previous_word,
            "A sentence that has ended begins to talk again. Your code looks at the last word only, and "
            "a row that said EOS says something else a step later. Once ended, a row stays so: where do you "
            "keep that?",
            also=[partial(by_previous_word, remember=True)],
        ),
        Mistake(
            "cut_at_last_eos",
            until_last_eos,
            "A list ends with EOS, but has another EOS before. A row that has ended may say EOS again, and "
            "the first one counts.",
        ),
        Mistake(
            "bos_every_step",
            decoded(feed=False),
            "It looks as if BOS is fed at every step. The model is never told what it has just said, and "
            "each step starts a sentence anew. Which tokens should the second step read?",
        ),
        Mistake(
            "state_not_carried",
            decoded(carry=False),
            "Every step starts from the first state. The state is all that the decoder remembers of the "
            "steps before. What does step return beside the logits, and where does it go?",
        ),
        Mistake(
            "state_and_token_lost",
            decoded(carry=False, feed=False),
            "Every step gets the same tokens and the same state, so every step gives the same answer. "
            "Two things have to go from one step to the next. Which?",
        ),
        Mistake(
            "other_start",
            decoded(first_token=PAD),
            "The first token that the model reads is not BOS. It was trained to begin after BOS, which "
            "is 1, and after nothing else.",
            also=[decoded(first_token=EOS)],
        ),
        Mistake(
            "eos_dropped",
            lambda model, source, n: [
                [i for i in row if i != EOS] for row in greedy_rows(model, source, n)
            ],
            "The words are right, but EOS is missing at the end. The task wants it kept: without it, one "
            "cannot tell a sentence that has ended from one that was cut off at the limit.",
        ),
        Mistake(
            "filled_up",
            filled_up(PAD),
            "The lists are filled up to one length. They may have different lengths here: behind EOS stands "
            "nothing, not even PAD.",
            also=[filled_up(EOS), filled_up(PAD, to_limit=True), filled_up(EOS, to_limit=True)],
        ),
        Mistake(
            "a_list_for_each_step",
            lambda model, source, n: words_said(model, source, n).T.tolist(),
            "Your result has a list for each step, with one word of every sentence. The task asks for a list "
            "for each sentence, and cut behind its EOS.",
            also=[
                lambda model, source, n: words_said(
                    model, source, n, enough=never_ended
                ).T.tolist(),
                lambda model, source, n: [
                    [row[step] for row in rows if step < len(row)]
                    for rows in [greedy_rows(model, source, n)]
                    for step in range(max(map(len, rows)))
                ],
            ],
        ),
        Mistake(
            "one_list",
            lambda model, source, n: [i for row in greedy_rows(model, source, n) for i in row],
            "All ids stand in one list, and nobody can tell where they belong. Every sentence gets a list of "
            "its own: append puts a list into a list, += and extend put its elements there.",
            also=[
                lambda model, source, n: words_said(model, source, n).T.flatten().tolist(),
                lambda model, source, n: words_said(model, source, n).flatten().tolist(),
            ],
        ),
        Mistake(
            "shared_list",
            one_list_for_all,
            "All sentences have the same ids: [[]] * n is one list, n times, and what is appended to it is "
            "seen everywhere. [[] for _ in range(n)] makes n lists.",
            also=[one_list_looked_at],
        ),
        Mistake(
            "order_of_ending",
            in_order_of_ending,
            "The lists are right, but not in order: the sentence that ends first comes first. Whoever calls "
            "the function has to know which belongs to which source.",
        ),
        Mistake(
            "rows_are_tensors",
            lambda model, source, n: list(map(torch.tensor, greedy_rows(model, source, n))),
            "The ids are right, but each sentence is still a tensor or an array. The task asks for lists: "
            "tolist() makes one.",
        ),
        Mistake(
            "bos_kept",
            lambda model, source, n: [[BOS, *row] for row in greedy_rows(model, source, n)],
            "BOS stands at the front of the lists. It was given to the model; the model did not say it.",
            also=[
                lambda model, source, n: [[BOS, *row] for row in greedy_rows(model, source, n - 1)]
            ],
        ),
        Mistake(
            "start_without_memory",
            lambda model, source, n: model.start(None),
            "The first state was asked for without the memory. What the decoder knows at the start comes from "
            "the source: hand start what encode returned. (A model of the book needs it too.)",
        ),
        Mistake(
            "source_not_encoded",
            lambda model, source, n: model.start(source),
            "The source itself was given where the memory should be. encode reads the source and returns the "
            "memory; start and step want that.",
        ),
        Mistake(
            "limit_of_zero",
            lambda model, source, n: greedy_rows(model, source, max(n, 1)),
            "A limit of 0 still gets a token: your loop looks at the limit only after it has written one. "
            "max_length may be 0, and then there is nothing to say.",
            also=[lambda model, source, n: greedy_rows(model, source, n or 10**6)],
        ),
        Mistake(
            "no_lists_for_zero",
            none_for_limit_0,
            "All is right but a limit of 0. Then no step is taken, and what is put together from steps does "
            "not know how many sentences there are. Each still gets its list, an empty one.",
            also=[stacked_again],
        ),
        Mistake(
            "one_step_too_many",
            lambda model, source, n: greedy_rows(model, source, n + 1),
            "A sentence that does not end by itself gets one token too many. Count how many tokens "
            "your loop has written when it checks the limit.",
        ),
        Mistake(
            "one_step_too_few",
            lambda model, source, n: greedy_rows(model, source, n - 1),
            "A sentence that does not end by itself gets one token too few. A list may have "
            "max_length tokens, EOS counted; BOS is not part of it.",
        ),
        Mistake(
            "no_limit",
            lambda model, source, n: greedy_rows(model, source, 10**6),
            "One of the sentences never ends by itself, and your loop waits for it. A badly trained model "
            "does this too. That is what max_length is for.",
        ),
        Mistake(
            "asked_on",
            decoded(enough=never_ended),
            "The lists are right, but step is called once too often or more: all sentences have ended by "
            "then, or are at the limit. Each call costs time, and what it says is thrown away.",
            also=[one_step_more],
        ),
        Mistake(
            "row_by_row",
            row_by_row,
            "The lists are right, but each sentence is encoded and translated by itself. The task asks for all "
            "at once: one encode, and a step for all rows. A large model takes hardly longer for many "
            "rows than for one.",
        ),
    ],
    laws=[
        Law("there is a list for each row", lambda out, model, source, n: len(out) == len(source)),
        Law(
            "no list has more than max_length tokens",
            lambda out, model, source, n: all(len(row) <= n for row in out),
        ),
        Law(
            "EOS stands at the end of a list or nowhere",
            lambda out, model, source, n: all(EOS not in map(int, row[:-1]) for row in out),
        ),
    ],
    trial=translate,
)
