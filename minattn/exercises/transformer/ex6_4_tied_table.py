"""Exercise 6.4: one table to read and to write."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake, numbers
from minattn.exercises.transformer.sublayers import Map, mixer


def tied(ids: Tensor, table: Tensor, positions: Tensor, blocks: Map) -> Tensor:
    """Embed tokens, run the blocks, and read the logits out with the same table."""
    return blocks(_embedded(ids, table, positions)) @ table.T


def _embedded(ids: Tensor, table: Tensor, positions: Tensor, factor: float | None = None) -> Tensor:
    factor = math.sqrt(table.shape[1]) if factor is None else factor
    return table[ids] * factor + positions


def _embed(
    change: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, Map], Tensor]:
    """Make an answer that embeds the tokens in another way."""
    return lambda ids, table, p, blocks: blocks(change(ids, table, p)) @ table.T


def _times(
    factor: Callable[[Tensor, Tensor], float],
) -> Callable[[Tensor, Tensor, Tensor, Map], Tensor]:
    """Make an answer with another factor, which may depend on ids and table."""
    return _embed(lambda ids, table, p: _embedded(ids, table, p, factor(ids, table)))


def _read(
    change: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, Map], Tensor]:
    """Make an answer that reads the logits out of the last vectors in another way."""
    return lambda ids, table, p, blocks: change(blocks(_embedded(ids, table, p)), table)


def _both_embedded(ids: Tensor, table: Tensor, positions: Tensor, blocks: Map) -> Tensor:
    x = _embedded(ids, table, positions)
    return blocks(x) @ x.transpose(1, 2)


def _root_of(table: Tensor) -> float:
    return math.sqrt(table.shape[1])


def _tied_cases() -> list[Case]:
    def case(seed: int, ids: list[list[int]], vocab: int, d: int) -> Case:
        table = numbers(seed, vocab, d) / math.sqrt(d)
        return torch.tensor(ids), table, numbers(seed + 1, len(ids[0]), d), mixer(seed + 2, d, 2)

    return [
        case(660, [[4, 1, 3], [0, 2, 4]], 5, 7),
        case(664, [[3, 0, 5, 3], [6, 2, 2, 1]], 7, 3),
        case(668, [[9, 0, 4], [2, 10, 7], [1, 5, 9], [8, 8, 3], [6, 2, 0]], 11, 8),
    ]


def _show_tied(ids: Tensor, table: Tensor, positions: Tensor, blocks: Map) -> str:
    return (
        f"ids = {ids.tolist()}, table of shape {tuple(table.shape)}, "
        f"positions of shape {tuple(positions.shape)}"
    )


EXERCISE = Exercise(
    number="6.4",
    title="One table to read and to write",
    solution=tied,
    cases=_tied_cases,
    show_case=_show_tied,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "no_factor",
            _times(lambda ids, table: 1.0),
            "The factor is missing. The table serves the logits too, so its numbers are small, of size "
            "1/sqrt(d_model); the numbers of a position are of size 1. Added as they are, the positions "
            "drown the words.",
        ),
        Mistake(
            "factor_after_positions",
            _embed(lambda ids, table, p: (table[ids] + p) * _root_of(table)),
            "The factor multiplies the positions as well, so they drown the words as before. First the "
            "words are multiplied, then the positions are added: mind the brackets.",
        ),
        Mistake(
            "divided",
            _times(lambda ids, table: 1 / _root_of(table)),
            "You divide by the root of d_model. Dividing is for the scores of attention, which are too "
            "large. The numbers of this table are too small beside those of the positions.",
        ),
        Mistake(
            "no_root",
            _times(lambda ids, table: table.shape[1]),
            "You multiply by d_model, not by its root. The numbers of the table are of size "
            "1/sqrt(d_model), so the root is what makes them as large as those of the positions.",
        ),
        Mistake(
            "root_of_another_size",
            _times(lambda ids, table: math.sqrt(len(table))),
            "You multiply by the root of another size: that of the vocabulary, of the sequence or of the "
            "batch. It is the width of the vectors that counts: table.shape[1].",
            also=[
                _times(lambda ids, table: math.sqrt(ids.shape[1])),
                _times(lambda ids, table: math.sqrt(len(ids))),
            ],
        ),
        Mistake(
            "factor_in_logits",
            _read(lambda h, table: h @ table.T * _root_of(table)),
            "The factor stands in the logits too. There the table is used as it is: large logits make a "
            "sharp softmax, and the first loss is far above ln V. If you multiplied the table itself, "
            "multiply only the rows that were picked.",
        ),
        Mistake(
            "factor_in_logits_only",
            lambda ids, table, p, blocks: (
                blocks(table[ids] + p) @ table.T * math.sqrt(table.shape[1])
            ),
            "The factor multiplies the logits, and not the words that go in. It is the other way round: the "
            "words have to stand up to the positions, the logits are to stay small.",
        ),
        Mistake(
            "logits_divided",
            _read(lambda h, table: h @ table.T / _root_of(table)),
            "The logits are divided by the root of d_model. Some models do that, to have the factor only "
            "once between the two uses of the table. Here, and in the paper, it is not taken back.",
            also=[
                lambda ids, table, p, blocks: (
                    blocks(table[ids] + p) @ table.T / math.sqrt(table.shape[1])
                ),
            ],
        ),
        Mistake(
            "positions_multiplied",
            _embed(lambda ids, table, p: table[ids] + p * _root_of(table)),
            "The factor multiplies the positions and not the words. The positions are large enough.",
        ),
        Mistake(
            "no_positions",
            _embed(lambda ids, table, p: table[ids] * _root_of(table)),
            "The positions are not added, so no block can tell where a word stands.",
        ),
        Mistake(
            "only_looked_up",
            _embed(lambda ids, table, p: table[ids]),
            "The blocks get the rows of the table as they are. Two things are missing: the factor, and then "
            "the positions.",
        ),
        Mistake(
            "positions_by_id",
            _embed(lambda ids, table, p: table[ids] * _root_of(table) + p[ids]),
            "The positions are looked up with the ids of the tokens. A token's id says which word it is, not "
            "where it stands: row t of positions goes to place t.",
        ),
        Mistake(
            "added_to_the_table",
            _embed(lambda ids, table, p: (table * _root_of(table) + p)[ids]),
            "The positions are added to the table, before a row is picked for each token. The table has a "
            "row for each word, positions one for each place. Pick the words first.",
        ),
        Mistake(
            "table_not_transposed",
            _read(lambda h, table: h @ table),
            "The vectors have d_model features and the table has shape (vocab, d_model), so the table has "
            "to be turned: a logit is the dot product of a vector with one row of the table.",
        ),
        Mistake(
            "batch_read_out",
            _both_embedded,
            "Your logits compare the last vectors with the tokens of the input. Every word of the "
            "vocabulary needs a logit, so compare with all rows of the table.",
        ),
        Mistake(
            "no_blocks",
            lambda ids, table, p, blocks: _embedded(ids, table, p) @ table.T,
            "The logits are read out of the embedded tokens. The blocks come between: they are given the "
            "tokens, and what they return is read out.",
        ),
        Mistake(
            "probabilities",
            _read(lambda h, table: (h @ table.T).softmax(-1)),
            "There is a softmax at the end. The loss wants logits and takes the softmax itself; two of them "
            "make every distribution nearly even, and training slow.",
            also=[_read(lambda h, table: (h @ table.T).log_softmax(-1))],
        ),
        Mistake(
            "best_token",
            _read(lambda h, table: (h @ table.T).argmax(-1)),
            "These are the best tokens. The logits of all of them are asked for, shape (batch, seq, vocab).",
        ),
        Mistake(
            "read_word_only",
            lambda ids, table, p, blocks: (blocks(_embedded(ids, table, p)) * table[ids]).sum(-1),
            "Each place has one logit, that of the word that was read there. Which word comes next is to be "
            "guessed among all of the vocabulary, so compare with every row of the table.",
        ),
        Mistake(
            "positions_after_blocks",
            lambda ids, table, p, blocks: (blocks(table[ids] * _root_of(table)) + p) @ table.T,
            "The positions are added to what the blocks return. They belong in front: it is the blocks that "
            "have to know where a word stands.",
        ),
        Mistake(
            "not_read_out",
            _read(lambda h, table: h),
            "These are the vectors that the blocks return. The logits are still to be read out of them, with "
            "the table.",
        ),
    ],
)
