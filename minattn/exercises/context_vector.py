"""Checkers of chapter 1: padding, the recurrent step, the shift, the loss, greedy translation."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.core import Case, Exercise, Law, Mistake, numbers
from minattn.training import token_loss
from minattn.vocabulary import BOS, EOS, PAD, pad, token_mask

# 1.1 -------------------------------------------------------------------------------------------------


def pad_and_mask(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Pad lists of ids at the end, and tell where the real tokens are."""
    ids = pad(sequences)
    return ids, token_mask(ids)


def _padded(sequences: list[list[int]], fill: int = PAD, front: bool = False) -> Tensor:
    longest = max(map(len, sequences))
    fills = [[fill] * (longest - len(ids)) for ids in sequences]
    rows = zip(sequences, fills, strict=True)
    return torch.tensor([[*more, *ids] if front else [*ids, *more] for ids, more in rows])


def _pad_cases() -> list[Case]:
    return [
        ([[3, 4, 2], [5, 2]],),
        ([[3, 2], [7, 5, 6, 2], [8, 9, 2]],),
        ([[4, 6, 2], [3, 2], [9, 9, 5, 6, 4, 8, 2], [7, 3, 5, 2], [5, 2]],),
    ]


PADDING = Exercise(
    number="1.1",
    title="Padding and its mask",
    solution=pad_and_mask,
    cases=_pad_cases,
    mistakes=[
        Mistake(
            "mask_inverted",
            lambda s: (pad(s), pad(s) == PAD),
            "The mask is the wrong way round: it says True where there is padding. In this book True "
            "always means a real token, something that may be looked at. Some of torch's own layers "
            "(key_padding_mask) mean the opposite, so check it whenever you meet a mask.",
        ),
        Mistake(
            "padding_in_front",
            lambda s: (_padded(s, front=True), _padded(s, front=True) != PAD),
            "The padding stands in front. A recurrent encoder reads from the left, so it would have read "
            "padding before it sees the first word. Look at the first column of your ids.",
        ),
        Mistake(
            "batch_second",
            lambda s: (pad(s).T, pad(s).T != PAD),
            "Your result is (seq, batch): one sentence for each column. That is what torch's pad_sequence "
            "gives if nothing is said about batch_first. In this book the batch comes first.",
        ),
        Mistake(
            "ids_not_whole",
            lambda s: (pad(s).float(), pad(s) != PAD),
            "The ids have become fractions: torch.zeros makes those unless it is told otherwise. An "
            "embedding looks up rows by number and takes whole numbers only. Look at the dtype of "
            "your ids.",
        ),
        Mistake(
            "mask_all_true",
            lambda s: (pad(s), torch.ones_like(pad(s), dtype=torch.bool)),
            "The mask is True everywhere, so padding counts as a word. Which of the ids are there only "
            "to fill the rectangle?",
        ),
        Mistake(
            "eos_masked",
            lambda s: (pad(s), pad(s) > EOS),
            "The mask leaves out the end of sequence as well. EOS is no filling: it belongs to the "
            "sentence, the encoder reads it and the decoder has to learn to say it. Only PAD is left "
            "out.",
        ),
        Mistake(
            "cut_to_shortest",
            lambda s: (
                torch.tensor([ids[: min(map(len, s))] for ids in s]),
                torch.ones(len(s), min(map(len, s)), dtype=torch.bool),
            ),
            "The rows are cut to the length of the shortest, so words are lost. zip does this without a "
            "word. The rectangle has to hold the longest sentence.",
        ),
        Mistake(
            "other_filling",
            lambda s: (_padded(s, -1), _padded(s, -1) != -1),
            "The rows are filled with some other id than PAD, which is 0. An id that is a real token would "
            "be read as one, and one that is not in the vocabulary cannot be embedded.",
            also=[
                lambda s: (_padded(s, EOS), pad(s) != PAD),
                lambda s: (_padded(s, EOS), torch.ones_like(pad(s), dtype=torch.bool)),
            ],
        ),
    ],
    laws=[
        Law(
            "the mask is True once for every id that was given",
            lambda out, s: int(out[1].sum()) == sum(map(len, s)),
        ),
        Law(
            "reading the ids where the mask is True gives back the sentences",
            lambda out, s: (
                [row[keep].tolist() for row, keep in zip(*map(torch.as_tensor, out), strict=True)]
                == s
            ),
        ),
    ],
)

# 1.2 -------------------------------------------------------------------------------------------------


def _gates(
    x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the two gates, and the input's and the state's part of the candidate."""
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    h_r, h_z, h_n = (h @ w_h.T + b_h).chunk(3, dim=-1)
    return torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z), x_n, h_n


def _paper_candidate(
    r: Tensor, x_n: Tensor, h: Tensor, w_h: Tensor, b_h: Tensor, d_hidden: int
) -> Tensor:
    """Return the candidate before its tanh, with the reset gate on the state itself."""
    return x_n + (r * h) @ w_h[2 * d_hidden :].T + b_h[2 * d_hidden :]


def _untransposed(
    x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor
) -> Tensor:
    """Take the paper's step with every block of w_h the wrong way round."""
    turned = torch.cat([block.T for block in w_h.chunk(3)])
    return paper_step(x, h, w_x, turned, b_x, b_h)


def paper_step(x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
    """Take a step of a gated recurrent unit in the form of the 2014 paper."""
    r, z, x_n, _ = _gates(x, h, w_x, w_h, b_x, b_h)
    n = torch.tanh(_paper_candidate(r, x_n, h, w_h, b_h, h.shape[1]))
    return (1 - z) * n + z * h


def _wrong_step(
    *,
    other_order: bool = False,
    z_exchanged: bool = False,
    squash: Callable[[Tensor], Tensor] = torch.tanh,
    gate: Callable[[Tensor], Tensor] = torch.sigmoid,
    reset: str = "state",
    state_bias: bool = True,
    gates_see_state: bool = True,
) -> Callable[..., Tensor]:
    """Make a step that is wrong in the ways that are asked for."""

    def step(x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
        b_h = b_h if state_bias else torch.zeros_like(b_h)
        x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
        h_r, h_z, h_n = (h @ w_h.T + b_h).chunk(3, dim=-1)
        if not gates_see_state:
            h_r, h_z, _ = b_h.chunk(3)
        r, z = gate(x_r + h_r), gate(x_z + h_z)
        r, z = (z, r) if other_order else (r, z)
        candidates = {
            "state": _paper_candidate(r, x_n, h, w_h, b_h, h.shape[1]),
            "product": x_n + r * h_n,
            "product without bias": x_n + r * (h_n - b_h.chunk(3)[2]) + b_h.chunk(3)[2],
            "product, no bias": x_n + r * (h_n - b_h.chunk(3)[2]),
            "state, no bias": x_n + (r * h) @ w_h.chunk(3)[2].T,
            "state, not transposed": x_n + (r * h) @ w_h.chunk(3)[2] + b_h.chunk(3)[2],
            "state, inverted": _paper_candidate(1 - r, x_n, h, w_h, b_h, h.shape[1]),
            "nothing": x_n + h_n,
            "all": r * (x_n + h_n),
        }
        n = squash(candidates[reset])
        return z * n + (1 - z) * h if z_exchanged else (1 - z) * n + z * h

    return step


def _gru_case(seed: int, batch: int, d_in: int, d_hidden: int) -> Case:
    sizes = [(batch, d_in), (batch, d_hidden), (3 * d_hidden, d_in), (3 * d_hidden, d_hidden)]
    biases = [(3 * d_hidden,), (3 * d_hidden,)]
    # Half as large as usual: nothing is saturated, so that a wrong step is plainly another one.
    return tuple(0.5 * numbers(seed + i, *size) for i, size in enumerate([*sizes, *biases]))


GRU = Exercise(
    number="1.2",
    title="The step as the paper has it",
    solution=paper_step,
    # A state of one number would not do: there the paper's form and torch's differ in a bias only.
    cases=lambda: [_gru_case(20, 1, 3, 2), _gru_case(30, 2, 5, 3), _gru_case(40, 5, 3, 7)],
    mistakes=[
        Mistake(
            "reset_after_product",
            _wrong_step(reset="product"),
            "This is torch's form, the one in the chapter: the reset gate acts after the matrix product. "
            "In the paper it acts on the state itself, before the product. Without biases, and with one "
            "number per state, it makes no difference; with more, the matrix mixes what the gate should "
            "keep apart.",
            also=[
                _wrong_step(reset="product without bias"),
                _wrong_step(reset="product, no bias"),
            ],
        ),
        Mistake(
            "z_exchanged",
            _wrong_step(z_exchanged=True),
            "z and 1 - z have changed places. Here, as in Cho et al. 2014 and in torch, z = 1 keeps the "
            "old state. (Bahdanau et al. 2015 write it the other way round. That is just as good, but "
            "weights trained for one form are wrong for the other.)",
            also=[_wrong_step(z_exchanged=True, reset="product")],
        ),
        Mistake(
            "sigmoid_candidate",
            _wrong_step(squash=torch.sigmoid),
            "The candidate n goes through a sigmoid, so it can never be negative, and the state would "
            "end up between 0 and 1. A sigmoid is for gates. What does the formula have for n?",
            also=[_wrong_step(squash=torch.sigmoid, reset="product")],
        ),
        Mistake(
            "no_squashing",
            _wrong_step(squash=lambda a: a),
            "The candidate is not squashed, so the state can grow without limit from step to step. What "
            "does the formula have around the sum?",
        ),
        Mistake(
            "tanh_gates",
            _wrong_step(gate=torch.tanh),
            "The gates go through a tanh, so they can be negative. A gate says how much of something "
            "passes, from 0 (nothing) to 1 (all of it). Which function has that range?",
        ),
        Mistake(
            "gate_order",
            _wrong_step(other_order=True),
            "The gates r and z have changed places. The three blocks lie one below the other in the order "
            "r, z, n. Other libraries and papers stack them differently, so look at this first when "
            "weights are copied.",
        ),
        Mistake(
            "no_reset",
            _wrong_step(reset="nothing"),
            "The reset gate has no effect. Without it the candidate always sees the whole old state, and "
            "cannot start afresh. Where does r stand in the formula of n?",
        ),
        Mistake(
            "reset_inverted",
            _wrong_step(reset="state, inverted"),
            "The reset gate is taken the wrong way round. In spite of its name it lets the whole old "
            "state through when r is 1, and forgets it when r is 0.",
        ),
        Mistake(
            "gates_without_state",
            _wrong_step(gates_see_state=False),
            "The gates see the input only. Whether to keep the old state depends on what is in it, so "
            "both gates read h as well.",
            also=[_wrong_step(gates_see_state=False, reset="product")],
        ),
        Mistake(
            "reset_on_all",
            _wrong_step(reset="all"),
            "The reset gate acts on the input as well. It is there to forget the old state; the new "
            "input always enters whole. Look at how far the brackets reach.",
        ),
        Mistake(
            "no_state_bias",
            _wrong_step(state_bias=False),
            "It looks as if b_h is never added. The state's part has a bias of its own, for all three "
            "blocks.",
        ),
        Mistake(
            "no_candidate_bias",
            _wrong_step(reset="state, no bias"),
            "All is right but for c_n, which is missing from the candidate. Both gates have their part of "
            "b_h; the candidate needs the third. Compare your n with the formula, term by term.",
        ),
        Mistake(
            "state_not_transposed",
            _wrong_step(reset="state, not transposed"),
            "A block of w_h is used without its transpose. The blocks are square, so torch cannot "
            "notice. The formula has the matrix on the left, U h; with a batch of rows that "
            "becomes h @ U.T.",
            also=[_untransposed],
        ),
        Mistake(
            "not_transposed",
            lambda x, h, w_x, w_h, b_x, b_h: x @ w_x,
            "The shapes do not meet: a matrix is used without its transpose. Weights are stored (out, in), "
            "as in torch.nn.Linear, and x @ w needs the width of x as the first axis of w. Which "
            "way round does w have to be?",
            also=[
                lambda x, h, w_x, w_h, b_x, b_h: x @ w_x.chunk(3)[0],
                lambda x, h, w_x, w_h, b_x, b_h: h @ w_h,
            ],
        ),
    ],
    laws=[
        Law(
            "every number lies between the candidate, which is in -1..1, and the old state",
            lambda out, x, h, *rest: bool((out.abs() <= h.abs().clamp(min=1) + 1e-4).all()),
        ),
    ],
)

# 1.3 -------------------------------------------------------------------------------------------------


def shift(target: list[int]) -> tuple[list[int], list[int]]:
    """Make what the decoder reads and what it has to answer."""
    return [BOS, *target], [*target, EOS]


SHIFT = Exercise(
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
            also=[lambda t: (t, [*t, EOS])],
        ),
        Mistake(
            "eos_in_input",
            lambda t: ([BOS, *t, EOS], [*t, EOS]),
            "The input still has EOS at its end, so it is one longer than the answer. When EOS has been "
            "said the sentence is over: there is nothing to answer after it.",
            also=[lambda t: ([BOS, *t, EOS], [*t, EOS, PAD])],
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

# 1.4 -------------------------------------------------------------------------------------------------


def _nats(logits: Tensor, target_out: Tensor) -> Tensor:
    """Return the cross-entropy of every position, padding included."""
    return -logits.log_softmax(-1).gather(-1, target_out[..., None])[..., 0]


def _mean_of_means(logits: Tensor, target_out: Tensor) -> Tensor:
    real = target_out != PAD
    return ((_nats(logits, target_out) * real).sum(1) / real.sum(1)).mean()


def _loss_cases() -> list[Case]:
    return [
        (numbers(50, 2, 3, 5), torch.tensor([[3, 4, 2], [4, 2, 0]])),
        (numbers(51, 3, 5, 7), torch.tensor([[6, 2, 0, 0, 0], [3, 5, 4, 4, 2], [5, 6, 2, 0, 0]])),
        (numbers(52, 2, 2, 11), torch.tensor([[9, 2], [7, 2]])),
    ]


LOSS = Exercise(
    number="1.4",
    title="The loss over real tokens",
    solution=token_loss,
    cases=_loss_cases,
    mistakes=[
        Mistake(
            "padding_counted",
            lambda lo, t: _nats(lo, t).mean(),
            "This looks like the mean over every position, so the model is also trained to predict "
            "padding. That is easy, and the more padding a batch has, the better the loss looks. Which "
            "positions should count?",
        ),
        Mistake(
            "divided_by_all",
            lambda lo, t: (_nats(lo, t) * (t != PAD)).sum() / t.numel(),
            "The sum is right: padding adds nothing to it. But it is divided by the number of all "
            "positions, so the same sentence gets a smaller loss in a wider batch. How many terms does "
            "your sum have?",
        ),
        Mistake(
            "mean_of_sentence_means",
            _mean_of_means,
            "This looks like the mean of each sentence, and then the mean of those. A token of a short "
            "sentence then counts more than one of a long sentence. The task asks for nats per token, "
            "each token counting the same.",
        ),
        Mistake(
            "sum",
            lambda lo, t: (_nats(lo, t) * (t != PAD)).sum(),
            "This is the sum over the real tokens. Larger batches would have larger losses; a mean can be "
            "compared.",
        ),
        Mistake(
            "per_sentence",
            lambda lo, t: (_nats(lo, t) * (t != PAD)).sum() / len(t),
            "This is the sum over the real tokens, divided by the number of sentences. A long sentence "
            "would seem harder only because it is long. The task asks for nats per token.",
        ),
        Mistake(
            "softmax_over_positions",
            lambda lo, t: -lo.log_softmax(1).gather(-1, t[..., None])[..., 0][t != PAD].mean(),
            "The softmax runs over the positions. At every position the words of the vocabulary compete: "
            "which axis are they on?",
            also=[
                lambda lo, t: -lo.log_softmax(0).gather(-1, t[..., None])[..., 0][t != PAD].mean()
            ],
        ),
        Mistake(
            "bits",
            lambda lo, t: _nats(lo, t)[t != PAD].mean() / math.log(2),
            "This is the loss in bits, with a logarithm to base 2. The task asks for nats, the natural "
            "logarithm.",
        ),
        Mistake(
            "logits_as_log_probabilities",
            lambda lo, t: -(lo.gather(-1, t[..., None])[..., 0])[t != PAD].mean(),
            "This looks like the mean of the logits themselves. A logit alone says little: it counts "
            "against the other logits of its position. Turn logits into log-probabilities first.",
        ),
        Mistake(
            "softmax_twice",
            lambda lo, t: _nats(lo.softmax(-1), t)[t != PAD].mean(),
            "This looks like a softmax before a loss that has one inside. F.cross_entropy takes logits "
            "as they are. With two softmaxes the loss can never get near 0.",
        ),
        Mistake(
            "sign",
            lambda lo, t: -_nats(lo, t)[t != PAD].mean(),
            "The sign is wrong: this is the mean log-probability, which is never above 0. A loss is to "
            "be made small, and here small would mean that the right tokens get unlikely.",
        ),
        Mistake(
            "probability",
            lambda lo, t: -(-_nats(lo, t)[t != PAD]).exp().mean(),
            "This looks like the mean of the probabilities, without a logarithm. Cross-entropy is minus "
            "the logarithm of the probability of the right token.",
            also=[
                lambda lo, t: (-_nats(lo, t)[t != PAD]).exp().mean(),
                lambda lo, t: -(-_nats(lo, t)[t != PAD]).exp().mean().log(),
            ],
        ),
        Mistake(
            "eos_left_out",
            lambda lo, t: _nats(lo, t)[t > EOS].mean(),
            "The end of sequence is left out as well as padding. EOS is a real token: a decoder that is "
            "never trained on it never learns to stop.",
        ),
        Mistake(
            "reshaped",
            lambda lo, t: F.cross_entropy(
                lo.reshape(len(lo), lo.shape[2], lo.shape[1]), t, ignore_index=PAD
            ),
            "F.cross_entropy wants the classes on the second axis, and here they got there by reshape "
            "(or view). That keeps the numbers in their old order and cuts them differently, so logits "
            "of several positions are mixed. Which operation exchanges two axes?",
        ),
        Mistake(
            "classes_last",
            lambda lo, t: F.cross_entropy(lo, t, ignore_index=PAD),
            "F.cross_entropy wants the classes on the second axis, and your logits have them on the third. "
            "Either bring the axis there, or put batch and positions into one axis first.",
            also=[lambda lo, t: F.cross_entropy(lo, t)],
        ),
    ],
    laws=[
        Law("the loss of uncertain tokens is above 0", lambda out, lo, t: float(out) > 0),
        Law(
            "a mean lies between its smallest and its largest term",
            lambda out, lo, t: bool(
                _nats(lo, t)[t != PAD].min() <= float(out) <= _nats(lo, t)[t != PAD].max()
            ),
        ),
    ],
)

# 1.5 -------------------------------------------------------------------------------------------------


def last_states(states: Tensor, mask: Tensor) -> Tensor:
    """Return the state at the last real token of every row."""
    return states[torch.arange(len(states)), mask.sum(1) - 1]


def _per_row(states: Tensor, index: Tensor) -> Tensor:
    return states[torch.arange(len(states)), index]


def _tokens(lengths: list[int], n: int) -> Tensor:
    return torch.arange(n) < torch.tensor(lengths)[:, None]


FINAL = Exercise(
    number="1.5",
    title="The final state of a padded batch",
    solution=last_states,
    cases=lambda: [
        (numbers(60, 2, 5, 1), _tokens([2, 4], 5)),
        (numbers(61, 3, 7, 2), _tokens([5, 1, 3], 7)),
        (numbers(62, 5, 3, 2), _tokens([3, 1, 2, 3, 2], 3)),
    ],
    mistakes=[
        Mistake(
            "last_column",
            lambda s, m: s[:, -1],
            "This takes states[:, -1], the last column. In a shorter row that is padding: the number "
            "there depends on what the sentence happened to be batched with. Count the real tokens of "
            "each row.",
        ),
        Mistake(
            "one_late",
            lambda s, m: _per_row(s, m.sum(1)),
            "One too far: a row with n tokens has them at the positions 0 to n - 1. Yours is the first "
            "position of padding, and a row without padding has none.",
            also=[lambda s, m: _per_row(s, m.sum(1).clamp(max=s.shape[1] - 1))],
        ),
        Mistake(
            "one_early",
            lambda s, m: _per_row(s, m.sum(1) - 2),
            "One too early: this state has not read the last token yet. EOS is a token too, and it has "
            "already been counted.",
            also=[lambda s, m: _per_row(s, (m.sum(1) - 2).clamp(min=0))],
        ),
        Mistake(
            "all_pairs",
            lambda s, m: s[:, m.sum(1) - 1],
            "The result is (batch, batch, d): every row has been read at the last position of every "
            "other row. A colon beside a list of positions means all rows, each at all of these "
            "positions. What has to stand in its place, so that row i meets position i?",
        ),
        Mistake(
            "rows_by_length",
            lambda s, m: s[m.sum(1) - 1],
            "The lengths are used to pick rows of the batch instead of positions. The first axis of "
            "states is the batch.",
        ),
        Mistake(
            "longest_for_all",
            lambda s, m: s[:, int(m.sum(1).max()) - 1],
            "This takes one position for the whole batch, the last of its longest row. Shorter rows end "
            "earlier. Find a position for each row.",
        ),
        Mistake(
            "mean",
            lambda s, m: (s * m[..., None]).sum(1) / m.sum(1, keepdim=True),
            "This is the mean over the real tokens. It leaves padding out as it should, but the question "
            "is what the encoder knows after the last token.",
            also=[lambda s, m: s.mean(1), lambda s, m: (s * m[..., None]).mean(1)],
        ),
        Mistake(
            "masked_last_column",
            lambda s, m: (s * m[..., None])[:, -1],
            "The padding is set to zero, and then the last column is taken all the same: shorter rows get "
            "a vector of zeros. Setting something to zero does not move the final state.",
        ),
        Mistake(
            "first",
            lambda s, m: s[:, 0],
            "This is the state after the first token. An argmax over a mask gives the first True, and so "
            "0 in every row; you want the last one.",
        ),
    ],
    laws=[
        Law(
            "every row of the result should be one of the states of that row",
            lambda out, s, m: bool((s == out[:, None]).all(-1).any(-1).all()),
        ),
    ],
)

# 1.6 -------------------------------------------------------------------------------------------------


class ToyTranslator:
    """A translator that anybody can follow by hand, with the interface of the real ones.

    What it says next depends on the source, on the step (its state) and on the token it has read, so a
    decoder that loses one of them says something else.

    Args:
        n_words: how many words it says before it says EOS.
    """

    vocab_size = 11
    patience = 100

    def __init__(self, n_words: int) -> None:
        self.n_words = n_words
        self.n_calls = 0

    def __repr__(self) -> str:
        return f"ToyTranslator(n_words={self.n_words})"

    def encode(self, source: Tensor) -> Tensor:
        """Read the source."""
        return source

    def start(self, memory: Tensor) -> tuple[Tensor, ...]:
        """Return the state before the first step."""
        return (torch.zeros(1, dtype=torch.long),)

    def step(
        self, token: Tensor, state: tuple[Tensor, ...], memory: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read one token, and return logits of shape (1, vocab_size) and the new state."""
        self.n_calls += 1
        if self.n_calls > self.patience:
            raise RuntimeError(f"step was called more than {self.patience} times")
        if not isinstance(token, Tensor) or token.shape != (1,):
            got = tuple(token.shape) if isinstance(token, Tensor) else repr(token)
            raise ValueError(f"a token for step is a tensor of shape (1,), got {got}")
        position = int(state[0])
        word = int(memory[0, position % memory.shape[1]]) + 2 * int(token) + position
        best = EOS if position == self.n_words else 3 + word % (self.vocab_size - 3)
        logits = -0.5 - 0.25 * (torch.arange(self.vocab_size) - best)[None].square()
        return logits, (state[0] + 1,)


def greedy_ids(model: Any, source: Tensor, max_length: int) -> list[int]:
    """Translate one source, taking the likeliest token at every step."""
    memory = model.encode(source)
    state = model.start(memory)
    ids = [BOS]
    while ids[-1] != EOS and len(ids) <= max_length:
        logits, state = model.step(torch.tensor([ids[-1]]), state, memory)
        ids.append(int(logits.argmax()))
    return ids[1:]


def _decode(
    model: Any,
    source: Tensor,
    max_length: int,
    *,
    feed: bool = True,
    carry: bool = True,
    stop: bool = True,
    first_token: int = BOS,
) -> list[int]:
    memory = model.encode(source)
    state = first = model.start(memory)
    ids = [first_token]
    for _ in range(max_length):
        logits, state = model.step(torch.tensor([ids[-1] if feed else BOS]), state, memory)
        state = state if carry else first
        ids.append(int(logits.argmax()))
        if stop and ids[-1] == EOS:
            break
    return ids[1:]


GREEDY = Exercise(
    number="1.6",
    title="Greedy translation",
    solution=greedy_ids,
    cases=lambda: [
        (ToyTranslator(2), torch.tensor([[6, 2]]), 7),
        (ToyTranslator(4), torch.tensor([[7, 4, 2]]), 11),
        (ToyTranslator(50), torch.tensor([[3, 9, 6, 2]]), 5),
        (ToyTranslator(3), torch.tensor([[8, 3, 5, 2]]), 4),
    ],
    mistakes=[
        Mistake(
            "bos_every_step",
            lambda model, source, n: _decode(model, source, n, feed=False),
            "It looks as if BOS is fed at every step. The model is never told what it has just said, and "
            "each step starts a sentence anew. Which token should the second step read?",
        ),
        Mistake(
            "goes_on_after_eos",
            lambda model, source, n: _decode(model, source, n, stop=False),
            "It goes on after EOS until the limit is reached. What a model says after EOS means nothing: "
            "it was never trained on it. Look at what ends your loop.",
        ),
        Mistake(
            "state_not_carried",
            lambda model, source, n: _decode(model, source, n, carry=False),
            "Every step starts from the first state. The state is all that the decoder remembers of the "
            "steps before. What does step return beside the logits, and where does it go?",
        ),
        Mistake(
            "state_and_token_lost",
            lambda model, source, n: _decode(model, source, n, carry=False, feed=False),
            "Every step gets the same token and the same state, so every step gives the same answer. "
            "Two things have to go from one step to the next. Which?",
        ),
        Mistake(
            "other_start",
            lambda model, source, n: _decode(model, source, n, first_token=PAD),
            "The first token that the model reads is not BOS. It was trained to begin after BOS, which "
            "is 1, and after nothing else.",
            also=[lambda model, source, n: _decode(model, source, n, first_token=EOS)],
        ),
        Mistake(
            "eos_dropped",
            lambda model, source, n: [i for i in greedy_ids(model, source, n) if i != EOS],
            "The words are right, but EOS is missing at the end. The task wants it kept: without it, one "
            "cannot tell a sentence that has ended from one that was cut off at the limit.",
        ),
        Mistake(
            "ids_are_tensors",
            lambda model, source, n: [torch.tensor([i]) for i in greedy_ids(model, source, n)],
            "The ids are right, but each is still a tensor of shape (1,), as step wants it. The task asks "
            "for whole numbers: int(token) makes a number.",
        ),
        Mistake(
            "bos_kept",
            lambda model, source, n: [BOS, *greedy_ids(model, source, n)],
            "BOS stands at the front of the result. It was given to the model; the model did not say it.",
            also=[lambda model, source, n: [BOS, *greedy_ids(model, source, n - 1)]],
        ),
        Mistake(
            "one_step_too_many",
            lambda model, source, n: greedy_ids(model, source, n + 1),
            "A sentence that does not end by itself gets one token too many. Count how many tokens "
            "your loop has written when it checks the limit.",
        ),
        Mistake(
            "one_step_too_few",
            lambda model, source, n: greedy_ids(model, source, n - 1),
            "A sentence that does not end by itself gets one token too few. The result may have "
            "max_length tokens, EOS counted; BOS is not part of it.",
        ),
        Mistake(
            "no_limit",
            lambda model, source, n: greedy_ids(model, source, 10**6),
            "One of the models never says EOS early, and your loop waits for it. A badly trained model "
            "does this too. That is what max_length is for.",
        ),
    ],
    laws=[
        Law("there are at most max_length tokens", lambda out, model, source, n: len(out) <= n),
        Law(
            "EOS stands at the end or nowhere",
            lambda out, model, source, n: EOS not in [int(i) for i in out[:-1]],
        ),
    ],
)

# 1.7 -------------------------------------------------------------------------------------------------

Step = Callable[[Tensor, Tensor], Tensor]


def backward_summary(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    """Return the state after every row has been read from its last token to its first."""
    for t in reversed(range(x.shape[1])):
        h = torch.where(mask[:, t, None], step(x[:, t], h), h)
    return h


def _backwards(step: Step, x: Tensor, h: Tensor, last: int = 0) -> Tensor:
    for t in range(x.shape[1] - 1, last - 1, -1):
        h = step(x[:, t], h)
    return h


def _forwards(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in range(x.shape[1]):
        h = torch.where(mask[:, t, None], step(x[:, t], h), h)
    return h


def _zeroed(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in reversed(range(x.shape[1])):
        h = step(x[:, t], h) * mask[:, t, None]
    return h


def _misses_first(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in range(x.shape[1] - 1, 0, -1):
        h = torch.where(mask[:, t, None], step(x[:, t], h), h)
    return h


def _state_before_padding(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    for t in reversed(range(x.shape[1])):
        h = torch.where(mask[:, t, None], h, step(x[:, t], h))
    return h


def toy_step(x: Tensor, h: Tensor) -> Tensor:
    """Take a recurrent step with fixed weights; the state is one number wider than the input."""
    d_in, d_hidden = x.shape[-1], h.shape[-1]
    w_x, w_h = numbers(70, d_in, d_hidden), numbers(71, d_hidden, d_hidden)
    return torch.tanh(0.5 * x @ w_x + 0.5 * h @ w_h + 0.25)


def _show_backward(step: Step, x: Tensor, mask: Tensor, h: Tensor) -> str:
    lengths = mask.sum(1).tolist()
    return f"x of shape {tuple(x.shape)}, rows of {lengths} tokens, h of shape {tuple(h.shape)}"


BACKWARD = Exercise(
    number="1.7",
    title="From right to left",
    solution=backward_summary,
    cases=lambda: [
        (toy_step, numbers(72, 2, 3, 1), _tokens([1, 3], 3), numbers(73, 2, 2)),
        (toy_step, numbers(74, 3, 5, 2), _tokens([4, 1, 3], 5), numbers(75, 3, 3)),
        (toy_step, numbers(76, 5, 7, 3), _tokens([7, 2, 5, 3, 1], 7), numbers(77, 5, 2)),
    ],
    mistakes=[
        Mistake(
            "reads_padding",
            lambda step, x, mask, h: _backwards(step, x, h),
            "A shorter row starts by reading its padding: from the right, padding comes first. Its state "
            "is no longer the start state when its last real token is read. The result must not depend "
            "on what stands in the padding.",
            also=[
                lambda step, x, mask, h: _backwards(step, x[:, : int(mask.sum(1).max())], h),
            ],
        ),
        Mistake(
            "padding_zeroed",
            lambda step, x, mask, h: _backwards(step, x * mask[..., None], h),
            "The padding is read as zeros, but it is still read. A step with input zero changes the "
            "state all the same. What has to stay as it is at a padded position?",
        ),
        Mistake(
            "left_to_right",
            _forwards,
            "This reads from left to right, with the padding left out rightly. Which token is read first "
            "by an encoder that comes from the right?",
            also=[lambda step, x, mask, h: _backwards(step, x.flip(1), h)],
        ),
        Mistake(
            "start_state_lost",
            _zeroed,
            "The state is set to zero at padded positions. Rows with padding then start from zeros and "
            "not from h, so that a row gives another result in a wider batch.",
        ),
        Mistake(
            "started_from_zeros",
            lambda step, x, mask, h: backward_summary(step, x, mask, torch.zeros_like(h)),
            "The rows start from zeros. Here a start state is given, h, and it is not zero.",
        ),
        Mistake(
            "mask_not_turned",
            lambda step, x, mask, h: _forwards(step, x.flip(1), mask, h),
            "x was turned round, but the mask was not: now it keeps some padding and leaves out some "
            "words. Turn both, or neither.",
        ),
        Mistake(
            "last_position",
            lambda step, x, mask, h: step(_per_row(x, mask.sum(1) - 1), h),
            "This is the state that a reader from the right has at the last token of the row, where it "
            "has read one token only. Reading from the right, where is everything read?",
        ),
        Mistake(
            "first_token_missed",
            _misses_first,
            "The token at position 0 is never read. Look at where your range ends.",
        ),
        Mistake(
            "mask_inverted",
            _state_before_padding,
            "The mask is taken the wrong way round: padding is read and tokens are skipped. True "
            "means a real token.",
        ),
    ],
    laws=[
        Law(
            "a row with one token takes one step from h",
            lambda out, step, x, mask, h: torch.allclose(
                out[mask.sum(1) == 1], step(x[:, 0], h)[mask.sum(1) == 1], atol=1e-4
            ),
        ),
    ],
    show_case=_show_backward,
)

EXERCISES = (PADDING, GRU, SHIFT, LOSS, FINAL, GREEDY, BACKWARD)
"""The exercises of chapter 1."""
