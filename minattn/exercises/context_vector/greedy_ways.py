"""Ways to write greedily for a batch, right and wrong, for exercise 1.6."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.context_vector.batch_translator import Rows, ToyMemory, greedy_rows
from minattn.exercises.exercise import Answer
from minattn.vocabulary import BOS, EOS, PAD


def words_said(
    model: Any,
    source: Tensor,
    max_length: int,
    *,
    feed: bool = True,
    carry: bool = True,
    first_token: int = BOS,
    enough: Callable[[Tensor], Any] = torch.all,
    remember: bool = True,
) -> Tensor:
    """Return all that a model says, also behind EOS, in the shape (batch, steps).

    Args:
        model: the translator.
        source: the sentences.
        max_length: the most steps.
        feed: whether the model reads what it has said, or the first token for ever.
        carry: whether the state goes on from step to step.
        first_token: what is read first.
        enough: tells from the rows that have ended whether to stop.
        remember: whether a row that has ended counts as ended at later steps too.
    """
    memory = model.encode(source)
    state = first_state = model.start(memory)
    word = first_word = torch.full((len(source),), first_token)
    ended = torch.zeros(len(source), dtype=torch.bool)
    words = first_word[:, None][:, :0]
    while words.shape[1] < max_length and not enough(ended):
        logits, state = model.step(
            word if feed else first_word, state if carry else first_state, memory
        )
        word = logits.argmax(-1)
        words = torch.cat([words, word[:, None]], dim=1)
        ended = (word == EOS) | (ended & remember)
    return words


def never_ended(ended: Tensor) -> bool:
    """Say that no row has ended."""
    return False


def first_row_ended(ended: Tensor) -> Tensor:
    """Say whether the first row has ended."""
    return ended[0]


def cut_at_end(words: Tensor) -> Rows:
    """Cut every row behind its first EOS."""
    return [row[: [*row, EOS].index(EOS) + 1] for row in words.tolist()]


def decoded(**changes: Any) -> Answer:
    """Make an answer that goes another way in some place, and cuts its rows rightly."""
    return lambda model, source, n: cut_at_end(words_said(model, source, n, **changes))


def uncut(**changes: Any) -> Answer:
    """Make an answer that keeps what is said behind EOS."""
    return lambda model, source, n: words_said(model, source, n, **changes).tolist()


def filled_up(fill: int, *, to_limit: bool = False) -> Answer:
    """Make an answer whose lists are all of one length."""

    def answer(model: Any, source: Tensor, max_length: int) -> Rows:
        rows = greedy_rows(model, source, max_length)
        longest = max_length if to_limit else max(map(len, rows))
        return [row + [fill] * (longest - len(row)) for row in rows]

    return answer


def row_by_row(model: Any, source: Tensor, max_length: int) -> Rows:
    """Translate one row after the other."""
    return [greedy_rows(model, row[row != PAD][None], max_length)[0] for row in source]


def loop_for_one(
    first: Callable[[Tensor], Tensor],
    is_over: Callable[[Tensor], Any],
    number: Callable[[Tensor], Any],
    choose: Callable[[Tensor], Tensor] = lambda logits: logits.argmax(dim=-1),
) -> Answer:
    """Make the loop over one sentence, given a batch.

    Args:
        first: makes the first token from the source.
        is_over: tells whether a word ends the sentence.
        number: makes of a word what is collected.
        choose: takes the next words from the logits.
    """

    def answer(model: Any, source: Tensor, max_length: int) -> Any:
        memory = model.encode(source)
        state, word, written = model.start(memory), first(source), []  # type: ignore[var-annotated]
        while len(written) < max_length:
            logits, state = model.step(word, state, memory)
            word = choose(logits)
            if is_over(word):
                break
            written.append(number(word))
        return written

    return answer


def one_begin(source: Tensor) -> Tensor:
    """Begin with one token, whatever the batch."""
    return torch.tensor([BOS])


def begin_for_each(source: Tensor) -> Tensor:
    """Begin with a token for each row."""
    return torch.full((len(source),), BOS)


def by_previous_word(
    model: Any, source: Tensor, max_length: int, *, remember: bool = False
) -> Rows:
    """Skip a row at the step after EOS, and at that step only."""
    words = words_said(model, source, max_length, remember=remember)
    before = torch.cat([torch.full((len(words), 1), BOS), words], dim=1)[:, :-1]
    return [row[last != EOS].tolist() for row, last in zip(words, before, strict=True)]


def until_last_eos(model: Any, source: Tensor, max_length: int) -> Rows:
    """Keep a row to its last EOS, not to its first."""
    rows = words_said(model, source, max_length).tolist()
    return [row[: len(row) - row[::-1].index(EOS)] if EOS in row else row for row in rows]


def one_list_for_all(model: Any, source: Tensor, max_length: int) -> Rows:
    """Collect the words of all rows in one list."""
    words = words_said(model, source, max_length)
    told: list[int] = []
    ended = torch.zeros(len(source), dtype=torch.bool)
    for word in words.T:
        told += word[~ended].tolist()
        ended |= word == EOS
    return [told] * len(source)


def one_list_looked_at(model: Any, source: Tensor, max_length: int) -> Rows:
    """Make one list for all rows by ``[[]] * n``, and look at it for the end."""
    memory = model.encode(source)
    state, word = model.start(memory), torch.full((len(source),), BOS)
    rows: Rows = [[]] * len(source)
    for _ in range(max_length):
        if all(EOS in row for row in rows):
            break
        logits, state = model.step(word, state, memory)
        word = logits.argmax(dim=-1)
        for row, new in zip(rows, word.tolist(), strict=True):
            if EOS not in row:
                row.append(new)
    return rows


def in_order_of_ending(model: Any, source: Tensor, max_length: int) -> Rows:
    """Give the rows in the order in which they end."""
    rows = greedy_rows(model, source, max_length)
    return sorted(rows, key=lambda row: (EOS not in row, len(row)))


def stacked_again(model: Any, source: Tensor, max_length: int) -> Rows:
    """Stack the words of all steps, and cut the rows."""
    words = words_said(model, source, max_length)
    return cut_at_end(torch.stack(list(words.T), dim=1))


def none_for_limit_0(model: Any, source: Tensor, max_length: int) -> Rows:
    """Give no lists at all for a limit of 0."""
    return greedy_rows(model, source, max_length) if max_length else []


def one_step_more(model: Any, source: Tensor, max_length: int) -> Rows:
    """Ask the model once more after all rows have ended."""
    words = words_said(model, source, max_length)
    memory = ToyMemory(source)
    model.step(torch.full((len(source),), BOS), model.start(memory), memory)
    return cut_at_end(words)
