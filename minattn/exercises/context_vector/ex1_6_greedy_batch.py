"""Exercise 1.6: greedy translation of a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minattn.exercises.comparing import same
from minattn.exercises.exercise import Answer, Exercise, Law, Mistake
from minattn.vocabulary import BOS, EOS, PAD

Rows = list[list[int]]


class ToyMemory:
    """What the toy keeps of the sources, for itself to open."""

    def __init__(self, source: Tensor) -> None:
        self.source = source


class ToyTranslator:
    """A translator that anybody can follow by hand, with the interface of the real ones.

    A sentence whose first id is k gets k - 3 words and then EOS. Asked for more, the toy talks on, as a real one
    does, and says EOS again at every third step. What it says next depends on the source, on the step (its state)
    and on the token it has read, so a decoder that loses one of them says something else. Each row is by itself,
    and padding does nothing. The toy is as strict as real translators are, and stricter: it takes what it has made
    itself for memory and state, and a token for every row.
    """

    vocab_size = 11
    patience = 100

    def __init__(self) -> None:
        self.n_encoded = 0
        self.n_steps = 0

    def __repr__(self) -> str:
        return "ToyTranslator()"

    def encode(self, source: Tensor) -> ToyMemory:
        """Read the sources."""
        if not isinstance(source, Tensor) or source.ndim != 2 or source.dtype != torch.long:
            raise ValueError(f"encode takes ids of shape (batch, n), got {source!r}")
        self.n_encoded += 1
        return ToyMemory(source.clone())

    def start(self, memory: ToyMemory) -> tuple[Tensor, ...]:
        """Return the state before the first step: how many there were, and what the source adds to all."""
        source = self._source_of(memory, "start")
        return torch.zeros(len(source), dtype=torch.long), source.sum(1) % 5

    @staticmethod
    def _source_of(memory: ToyMemory, method: str) -> Tensor:
        if not isinstance(memory, ToyMemory):
            raise TypeError(f"{method} takes the memory that encode returned, got {memory!r}")
        return memory.source

    def step(
        self, token: Tensor, state: tuple[Tensor, ...], memory: ToyMemory
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read one token of every row, and return logits of shape (batch, vocab_size) and the new state."""
        self.n_steps += 1
        if self.n_steps > self.patience:
            raise RuntimeError(f"step was called more than {self.patience} times")
        source = self._source_of(memory, "step")
        if not isinstance(token, Tensor) or token.shape != source.shape[:1]:
            got = tuple(token.shape) if isinstance(token, Tensor) else repr(token)
            raise ValueError(
                f"step takes a tensor of shape ({len(source)},), a token for each row, got {got}"
            )
        if token.dtype not in (torch.long, torch.int):
            raise ValueError(f"a token for step is a whole number, got {token.dtype}")
        if not isinstance(state, tuple) or len(state) != 2 or len(state[0]) != len(source):
            raise TypeError(f"step takes the state that start or step returned, got {state!r}")
        position = state[0]
        place = position % (source != PAD).sum(1)
        word = source.gather(1, place[:, None])[:, 0] + 2 * token + position + state[1]
        since_end = position - (source[:, 0] - 3)
        ends = (since_end >= 0) & (since_end % 3 == 0)
        best = torch.where(ends, EOS, 3 + word % (self.vocab_size - 3))
        logits = -0.5 - 0.25 * (torch.arange(self.vocab_size) - best[:, None]).square()
        return logits, (position + 1, state[1])


def greedy_rows(model: Any, source: Tensor, max_length: int) -> Rows:
    """Translate a batch, taking the likeliest token of every row at every step."""
    memory = model.encode(source)
    state, word = model.start(memory), torch.full((len(source),), BOS)
    ended = torch.zeros(len(source), dtype=torch.bool)
    rows: Rows = [[] for _ in source]
    for _ in range(max_length):
        if ended.all():
            break
        logits, state = model.step(word, state, memory)
        word = logits.argmax(dim=-1)
        for i in (~ended).nonzero()[:, 0].tolist():
            rows[i].append(int(word[i]))
        ended |= word == EOS
    return rows


@dataclass(frozen=True)
class AskedTooOften:
    """The right lists, for which a model was asked more than it takes.

    Args:
        method: what was called too often.
    """

    method: str

    def __repr__(self) -> str:
        return f"the right lists, but {self.method} was called too often"


def translate(answer: Answer, model: ToyTranslator, source: Tensor, max_length: int) -> Any:
    """Return what an answer says; where that is right, look at how often it asked the model too."""
    frugal = ToyTranslator()
    right = greedy_rows(frugal, source, max_length)
    rows = answer(model, source, max_length)
    if same(rows, right, 0.0):
        if model.n_encoded > 1:
            return AskedTooOften("encode")
        if model.n_steps > frugal.n_steps:
            return AskedTooOften("step")
    return rows


# The mistakes: what is collected from the model, and what is made of it.


def _words(
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


def _never(ended: Tensor) -> bool:
    return False


def _first_row(ended: Tensor) -> Tensor:
    return ended[0]


def _cut(words: Tensor) -> Rows:
    """Cut every row behind its first EOS."""
    return [row[: [*row, EOS].index(EOS) + 1] for row in words.tolist()]


def _decoded(**changes: Any) -> Answer:
    """Make an answer that goes another way in some place, and cuts its rows rightly."""
    return lambda model, source, n: _cut(_words(model, source, n, **changes))


def _uncut(**changes: Any) -> Answer:
    """Make an answer that keeps what is said behind EOS."""
    return lambda model, source, n: _words(model, source, n, **changes).tolist()


def _filled_up(fill: int, *, to_limit: bool = False) -> Answer:
    """Make an answer whose lists are all of one length."""

    def answer(model: Any, source: Tensor, max_length: int) -> Rows:
        rows = greedy_rows(model, source, max_length)
        longest = max_length if to_limit else max(map(len, rows))
        return [row + [fill] * (longest - len(row)) for row in rows]

    return answer


def _alone(model: Any, source: Tensor, max_length: int) -> Rows:
    """Translate one row after the other."""
    return [greedy_rows(model, row[row != PAD][None], max_length)[0] for row in source]


def _page(
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


def _one(source: Tensor) -> Tensor:
    return torch.tensor([BOS])


def _each(source: Tensor) -> Tensor:
    return torch.full((len(source),), BOS)


def _by_previous_word(
    model: Any, source: Tensor, max_length: int, *, remember: bool = False
) -> Rows:
    """Skip a row at the step after EOS, and at that step only."""
    words = _words(model, source, max_length, remember=remember)
    before = torch.cat([torch.full((len(words), 1), BOS), words], dim=1)[:, :-1]
    return [row[last != EOS].tolist() for row, last in zip(words, before, strict=True)]


def _until_last_eos(model: Any, source: Tensor, max_length: int) -> Rows:
    rows = _words(model, source, max_length).tolist()
    return [row[: len(row) - row[::-1].index(EOS)] if EOS in row else row for row in rows]


def _shared_list(model: Any, source: Tensor, max_length: int) -> Rows:
    words = _words(model, source, max_length)
    told: list[int] = []
    ended = torch.zeros(len(source), dtype=torch.bool)
    for word in words.T:
        told += word[~ended].tolist()
        ended |= word == EOS
    return [told] * len(source)


def _shared_and_looked_at(model: Any, source: Tensor, max_length: int) -> Rows:
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


def _as_they_end(model: Any, source: Tensor, max_length: int) -> Rows:
    rows = greedy_rows(model, source, max_length)
    return sorted(rows, key=lambda row: (EOS not in row, len(row)))


def _stacked(model: Any, source: Tensor, max_length: int) -> Rows:
    words = _words(model, source, max_length)
    return _cut(torch.stack(list(words.T), dim=1))


def _zipped(model: Any, source: Tensor, max_length: int) -> Rows:
    return greedy_rows(model, source, max_length) if max_length else []


def _step_behind_the_end(model: Any, source: Tensor, max_length: int) -> Rows:
    words = _words(model, source, max_length)
    memory = ToyMemory(source)
    model.step(torch.full((len(source),), BOS), model.start(memory), memory)
    return _cut(words)


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
            _page(_one, lambda word: word.item() == EOS, lambda word: word.item()),
            "One token goes into step, where a batch needs one for each row. The loop for one sentence "
            "begins with a single BOS; here every sentence begins, so there are as many as rows.",
        ),
        Mistake(
            "number_of_a_batch",
            _page(_each, lambda word: word.item() == EOS, lambda word: word.item()),
            "item(), int() and if want one number, and there is a word for each row now. One word alone "
            "cannot end the loop any more: what has to be known of each row, and what of all of them?",
            also=[
                _page(_each, lambda word: int(word) == EOS, int),
                _page(_each, lambda word: word == EOS, lambda word: word.tolist()),
            ],
        ),
        Mistake(
            "argmax_over_rows",
            _page(
                _each,
                lambda word: (word == EOS).all(),
                lambda word: word.tolist(),
                lambda logits: logits.argmax(dim=0),
            ),
            "The argmax is not taken over the words of each row. The logits have the shape (batch, vocab), "
            "and the next token the shape (batch,). Which dimension has to go?",
            also=[
                _page(
                    _each,
                    lambda word: (word == EOS).all(),
                    lambda word: word.tolist(),
                    lambda logits: logits.argmax(),
                )
            ],
        ),
        Mistake(
            "stops_with_the_first",
            _decoded(enough=torch.any),
            "Your loop stops when one sentence has ended, and cuts the others off. They end at different "
            "steps. When may it stop?",
            also=[_decoded(enough=_first_row), _uncut(enough=torch.any), _uncut(enough=_first_row)],
        ),
        Mistake(
            "goes_on_after_eos",
            _uncut(),
            "Some lists go on after EOS. The model has to be asked as long as one sentence is unfinished, "
            "and it answers for all rows. What it says in a row that has ended means nothing: leave it out.",
            also=[_uncut(enough=_never), _uncut(remember=False)],
        ),
        Mistake(
            "ending_forgotten",
            _by_previous_word,
            "A sentence that has ended begins to talk again. Your code looks at the last word only, and "
            "a row that said EOS says something else a step later. Once ended, a row stays so: where do you "
            "keep that?",
            also=[partial(_by_previous_word, remember=True)],
        ),
        Mistake(
            "cut_at_last_eos",
            _until_last_eos,
            "A list ends with EOS, but has another EOS before. A row that has ended may say EOS again, and "
            "the first one counts.",
        ),
        Mistake(
            "bos_every_step",
            _decoded(feed=False),
            "It looks as if BOS is fed at every step. The model is never told what it has just said, and "
            "each step starts a sentence anew. Which tokens should the second step read?",
        ),
        Mistake(
            "state_not_carried",
            _decoded(carry=False),
            "Every step starts from the first state. The state is all that the decoder remembers of the "
            "steps before. What does step return beside the logits, and where does it go?",
        ),
        Mistake(
            "state_and_token_lost",
            _decoded(carry=False, feed=False),
            "Every step gets the same tokens and the same state, so every step gives the same answer. "
            "Two things have to go from one step to the next. Which?",
        ),
        Mistake(
            "other_start",
            _decoded(first_token=PAD),
            "The first token that the model reads is not BOS. It was trained to begin after BOS, which "
            "is 1, and after nothing else.",
            also=[_decoded(first_token=EOS)],
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
            _filled_up(PAD),
            "The lists are filled up to one length. They may have different lengths here: behind EOS stands "
            "nothing, not even PAD.",
            also=[_filled_up(EOS), _filled_up(PAD, to_limit=True), _filled_up(EOS, to_limit=True)],
        ),
        Mistake(
            "a_list_for_each_step",
            lambda model, source, n: _words(model, source, n).T.tolist(),
            "Your result has a list for each step, with one word of every sentence. The task asks for a list "
            "for each sentence, and cut behind its EOS.",
            also=[
                lambda model, source, n: _words(model, source, n, enough=_never).T.tolist(),
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
                lambda model, source, n: _words(model, source, n).T.flatten().tolist(),
                lambda model, source, n: _words(model, source, n).flatten().tolist(),
            ],
        ),
        Mistake(
            "shared_list",
            _shared_list,
            "All sentences have the same ids: [[]] * n is one list, n times, and what is appended to it is "
            "seen everywhere. [[] for _ in range(n)] makes n lists.",
            also=[_shared_and_looked_at],
        ),
        Mistake(
            "order_of_ending",
            _as_they_end,
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
            _zipped,
            "All is right but a limit of 0. Then no step is taken, and what is put together from steps does "
            "not know how many sentences there are. Each still gets its list, an empty one.",
            also=[_stacked],
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
            _decoded(enough=_never),
            "The lists are right, but step is called once too often or more: all sentences have ended by "
            "then, or are at the limit. Each call costs time, and what it says is thrown away.",
            also=[_step_behind_the_end],
        ),
        Mistake(
            "row_by_row",
            _alone,
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
