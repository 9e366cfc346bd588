"""Exercise 6.6: count the parameters."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from minattn.exercises.exercise import Answer, Exercise, Law, Mistake


def count_parameters(d_model: int, n_heads: int, d_ff: int) -> tuple[int, int]:
    """Count the parameters of an encoder block and of a decoder block."""
    return _count(d_model, d_ff)


def _count(
    d_model: int,
    d_ff: int,
    *,
    attention: Callable[[int], int] = lambda d: 4 * (d * d + d),
    feed_forward: Callable[[int, int], int] = lambda d, f: d * f + f + f * d + d,
    norm: Callable[[int], int] = lambda d: 2 * d,
    n_attentions: int = 2,
    n_norms: tuple[int, int] = (2, 3),
) -> tuple[int, int]:
    a, f, n = attention(d_model), feed_forward(d_model, d_ff), norm(d_model)
    return a + f + n_norms[0] * n, n_attentions * a + f + n_norms[1] * n


def _counting(**changes: Any) -> Answer:
    return lambda d_model, n_heads, d_ff: _count(d_model, d_ff, **changes)


def _one_right(answer: Answer) -> list[Answer]:
    """Make answers that are wrong about one of the blocks only."""
    return [
        lambda *sizes: (answer(*sizes)[0], count_parameters(*sizes)[1]),
        lambda *sizes: (count_parameters(*sizes)[0], answer(*sizes)[1]),
    ]


def _in_either(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """Let the mistakes that give two numbers be made in one of the blocks as well, where that is another result."""
    sizes = _SIZES
    given = {tuple(answer(*s) for s in sizes) for mistake in mistakes for answer in mistake.answers}
    given.add(tuple(count_parameters(*s) for s in sizes))
    wider = []
    for mistake in mistakes:
        pairs = [a for a in mistake.answers if isinstance(a(*sizes[0]), tuple)]
        also = list(mistake.also)
        for one in (one for answer in pairs for one in _one_right(answer)):
            results = tuple(one(*s) for s in sizes)
            if results not in given:
                given.add(results)
                also.append(one)
        wider.append(replace(mistake, also=also))
    return wider


_SIZES = [(4, 2, 7), (6, 3, 11), (15, 5, 8), (8, 4, 32)]


def _with_heads(attention: Callable[[int, int], int]) -> Answer:
    return lambda d_model, n_heads, d_ff: _count(
        d_model, d_ff, attention=lambda d: attention(d, n_heads)
    )


EXERCISE = Exercise(
    number="6.6",
    title="Count the parameters",
    solution=count_parameters,
    cases=lambda: _SIZES,
    tolerance=1e-9,
    mistakes=_in_either(
        [
            Mistake(
                "cross_attention_forgotten",
                _counting(n_attentions=1),
                "The decoder block has a second attention, to the source, with four projections of its own. "
                "You counted one attention, as in the encoder.",
            ),
            Mistake(
                "the_same_twice",
                _counting(n_attentions=1, n_norms=(2, 2)),
                "You give the decoder block as many as the encoder block. It has one sub-layer more, the "
                "attention to the source, and that sub-layer has a norm of its own too.",
            ),
            Mistake(
                "third_norm_forgotten",
                _counting(n_norms=(2, 2)),
                "The decoder block has three sub-layers, and each has a norm. You counted two norms in it.",
            ),
            Mistake(
                "norms_forgotten",
                _counting(norm=lambda d: 0),
                "The norms are missing. Each has a learned gain and a learned bias for every feature.",
            ),
            Mistake(
                "norm_without_bias",
                _counting(norm=lambda d: d),
                "Each norm counts for d_model only. It has a gain and a bias for every feature.",
            ),
            Mistake(
                "one_number_for_each_norm",
                _counting(norm=lambda d: 2),
                "You count one gain and one bias for a whole norm. There is one of each for every feature.",
                also=[_counting(norm=lambda d: 1)],
            ),
            Mistake(
                "one_norm",
                _counting(n_norms=(1, 1)),
                "You count one norm in a block. Every sub-layer has one: two in the encoder block, three in the "
                "decoder block.",
            ),
            Mistake(
                "last_norm_counted",
                _counting(n_norms=(3, 4)),
                "There is one norm too many in each block. The last norm of a pre-norm model comes once, after "
                "all blocks, and belongs to none of them.",
            ),
            Mistake(
                "matrices_only",
                _counting(
                    attention=lambda d: 4 * d * d,
                    feed_forward=lambda d, f: 2 * d * f,
                    norm=lambda d: 0,
                ),
                "You count the matrices only. That is the usual rule of thumb, and for wide models nearly right. "
                "Here the biases count too, and the norms with their gains and biases.",
            ),
            Mistake(
                "no_bias",
                _counting(attention=lambda d: 4 * d * d, feed_forward=lambda d, f: 2 * d * f),
                "The biases of the linear maps are missing: one number for each output.",
                also=[
                    _counting(
                        attention=lambda d: 4 * d * d,
                        feed_forward=lambda d, f: 2 * d * f,
                        norm=lambda d: d,
                    ),
                ],
            ),
            Mistake(
                "no_bias_in_attention",
                _counting(attention=lambda d: 4 * d * d),
                "The four projections of an attention have biases here, as those of torch do: d_model numbers "
                "each. You counted the matrices only.",
            ),
            Mistake(
                "no_bias_in_feed_forward",
                _counting(feed_forward=lambda d, f: 2 * d * f),
                "The two maps of the feed-forward have biases: d_ff numbers in the first, d_model in the second.",
            ),
            Mistake(
                "bias_of_the_inputs",
                _counting(feed_forward=lambda d, f: 2 * d * f + 2 * d),
                "A linear map has one bias for each output. That of the first map of the feed-forward is d_ff "
                "wide, that of the second d_model. You counted one width for both.",
                also=[_counting(feed_forward=lambda d, f: 2 * d * f + 2 * f)],
            ),
            Mistake(
                "out_projection_forgotten",
                _counting(attention=lambda d: 3 * (d * d + d)),
                "An attention has four projections. You counted three: queries, keys and values. The one that "
                "mixes what the heads found is missing.",
                also=[_counting(attention=lambda d: 3 * d * d)],
            ),
            Mistake(
                "out_projection_without_bias",
                _counting(attention=lambda d: 4 * d * d + 3 * d),
                "All is right but the bias of the last projection of an attention. It has one too, as the other "
                "three have.",
                also=[_counting(attention=lambda d: 4 * d * d + d)],
            ),
            Mistake(
                "times_heads",
                _with_heads(lambda d, h: 4 * h * (d * d + d)),
                "You multiply by the number of heads. The heads share the width: each has projections to "
                "d_model / n_heads features, so all of them together have as many as one wide head.",
                also=[
                    _with_heads(lambda d, h: 3 * h * (d * d + d) + d * d + d),
                    _with_heads(lambda d, h: 3 * h * (d * d + d) + h * d * d + d),
                ],
            ),
            Mistake(
                "divided_by_heads",
                _with_heads(lambda d, h: 4 * (d * d // h + d // h)),
                "You count the projections of one head. There are n_heads of them, side by side.",
                also=[
                    _with_heads(lambda d, h: 3 * (d * d // h + d // h) + d * d + d),
                    _with_heads(lambda d, h: 4 * h * ((d // h) ** 2 + d // h)),
                ],
            ),
            Mistake(
                "one_map_in_feed_forward",
                _counting(feed_forward=lambda d, f: d * f + f),
                "The feed-forward has two maps: up to d_ff, and down again to d_model. You counted one.",
                also=[_counting(feed_forward=lambda d, f: d * f)],
            ),
            Mistake(
                "square_maps_in_feed_forward",
                _counting(feed_forward=lambda d, f: d * f + f + f * f + f),
                "The second map of the feed-forward goes from d_ff down to d_model, because the result is added "
                "to x. You counted one from d_ff to d_ff.",
            ),
            Mistake(
                "swapped",
                lambda d_model, n_heads, d_ff: _count(d_model, d_ff)[::-1],
                "Both numbers are right, but the decoder block comes first. Return the encoder block, then the "
                "decoder block.",
            ),
            Mistake(
                "summed",
                lambda d_model, n_heads, d_ff: sum(_count(d_model, d_ff)),
                "This is the sum of the two. Return two numbers: the encoder block, then the decoder block.",
            ),
            Mistake(
                "one_block_only",
                lambda d_model, n_heads, d_ff: _count(d_model, d_ff)[0],
                "This is the number of one of the blocks. Return two numbers: the encoder block, then the "
                "decoder block.",
                also=[lambda d_model, n_heads, d_ff: _count(d_model, d_ff)[1]],
            ),
        ]
    ),
    laws=[
        Law("these are whole numbers", lambda out, d, h, f: all(n == int(n) for n in out)),
        Law(
            "the decoder block has one attention and one norm more than the encoder block",
            lambda out, d, h, f: out[1] - out[0] == 4 * (d * d + d) + 2 * d,
        ),
    ],
)
