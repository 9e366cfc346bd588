"""Exercise 3.4: who asks?"""

from torch import Tensor

from minattn.dot_product import attend
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.queries_keys_values.dot_products import (
    between_the_values,
    root_of_width,
    scaled_softmax,
)


def cross_attention(
    decoder: Tensor, encoder: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor
) -> Tensor:
    """Let the decoder ask the encoder."""
    return attend(decoder @ w_q, encoder @ w_k, encoder @ w_v)


def _mixed(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None, axis: int = -1) -> Tensor:
    """Attend without any check of shapes, as a learner writes it."""
    return scaled_softmax(q, k, 1 / root_of_width(q) if scale is None else scale, axis) @ v


def _cross_case(seed: int, n_target: int, n_source: int, d: int, d_k: int) -> Case:
    return (
        numbers(seed, n_target, d),
        numbers(seed + 1, n_source, d),
        *(numbers(seed + 2 + i, d, d_k) / 2 for i in range(3)),
    )


EXERCISE = Exercise(
    number="3.4",
    title="Who asks?",
    solution=cross_attention,
    cases=lambda: [
        _cross_case(210, 2, 2, 5, 3),  # as many words on both sides: no shape complains
        _cross_case(220, 2, 3, 7, 5),
        _cross_case(230, 7, 5, 2, 3),
    ],
    mistakes=[
        Mistake(
            "encoder_asks",
            lambda d, e, q, k, v: _mixed(e @ q, d @ k, d @ v),
            "The encoder asks, and the decoder is asked. The output then has one row for each source "
            "word. The decoder wants to know something at each of its steps, so it has to ask. Which "
            "length must the output have?",
            also=[lambda d, e, q, k, v: _mixed(e @ q, d @ k, d @ v, 1.0)],
        ),
        Mistake(
            "decoder_alone",
            lambda d, e, q, k, v: _mixed(d @ q, d @ k, d @ v),
            "The decoder looks at itself only: the encoder is not used. That is self-attention. "
            "What is offered and delivered should come from the source.",
            also=[lambda d, e, q, k, v: _mixed(d @ q, d @ k, d @ v, 1.0)],
        ),
        Mistake(
            "encoder_alone",
            lambda d, e, q, k, v: _mixed(e @ q, e @ k, e @ v),
            "The encoder looks at itself only: the decoder is not used. That is self-attention, and what "
            "comes out is the same at every step of the decoder. Who wants to know something?",
            also=[lambda d, e, q, k, v: _mixed(e @ q, e @ k, e @ v, 1.0)],
        ),
        Mistake(
            "keys_from_decoder",
            lambda d, e, q, k, v: _mixed(d @ q, d @ k, e @ v),
            "The keys come from the decoder and the values from the encoder. A key tells what its value is "
            "about, so both have to come from the same words. With unequal lengths the shapes complain; "
            "with equal ones nothing does.",
            also=[lambda d, e, q, k, v: _mixed(e @ q, d @ k, e @ v)],
        ),
        Mistake(
            "values_from_decoder",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, d @ v),
            "The values come from the decoder, so nothing of the source is delivered: the decoder finds "
            "the right source word and gets a word of its own. A value belongs to the key beside it.",
            also=[lambda d, e, q, k, v: _mixed(e @ q, e @ k, d @ v)],
        ),
        Mistake(
            "key_and_value_weights_swapped",
            lambda d, e, q, k, v: _mixed(d @ q, e @ v, e @ k),
            "The weights of keys and values are swapped. Both have the same shape, so nothing complains. "
            "w_k makes what is compared with the query; w_v makes what is delivered.",
        ),
        Mistake(
            "query_and_key_weights_swapped",
            lambda d, e, q, k, v: _mixed(d @ k, e @ q, e @ v),
            "The weights of queries and keys are swapped. Both have the same shape, so nothing complains, "
            "and training from the start would not mind. These weights, though, were made for the other "
            "part: w_q belongs to who asks.",
        ),
        Mistake(
            "key_projected_as_query",
            lambda d, e, q, k, v: _mixed(d @ q, e @ q, e @ v),
            "The keys are made with w_q, and w_k is not used. Asking and offering have a projection each: "
            "which of the three weights is missing in your code?",
        ),
        Mistake(
            "query_projected_as_key",
            lambda d, e, q, k, v: _mixed(d @ k, e @ k, e @ v),
            "The queries are made with w_k, and w_q is not used. Asking and offering have a projection each: "
            "w_q belongs to who asks.",
        ),
        Mistake(
            "key_serves_as_value",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ k),
            "The keys are delivered, and w_v is not used. What a word is found by and what it delivers are "
            "two things: that is why there are two projections of the encoder.",
        ),
        Mistake(
            "value_not_projected",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e),
            "The encoder is delivered as it is, and w_v is not used. Three projections: who asks, what is "
            "offered, what is delivered. Which one is missing?",
        ),
        Mistake(
            "nothing_projected",
            lambda d, e, q, k, v: _mixed(d, e, e),
            "No weights are used: decoder and encoder are compared as they are. Each of the three parts "
            "has a projection of its own.",
        ),
        Mistake(
            "only_values_projected",
            lambda d, e, q, k, v: _mixed(d, e, e @ v),
            "Only the values have a projection: decoder and encoder are compared as they are. Who asks and "
            "what is offered have one each as well.",
        ),
        Mistake(
            "not_scaled",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1.0),
            "The scores are not scaled. They are sums of d_k products, so they have to be divided by the "
            "square root of d_k, as in exercise 3.1.",
        ),
        Mistake(
            "scaled_by_model_width",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1 / root_of_width(d)),
            "The scale is made from the width before the projection. The sum in a score runs over the "
            "projected queries and keys: how many numbers have those?",
        ),
        Mistake(
            "divided_by_width",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1 / q.shape[1]),
            "The scores are divided by d_k (or twice by its square root). Once by the square root is "
            "enough.",
        ),
        Mistake(
            "over_queries",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, axis=0),
            "The softmax runs over the decoder's steps, so they compete for a source word. Each step has "
            "a whole weight of 1 to share out over the source.",
            also=[lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1.0, axis=0)],
        ),
        Mistake(
            "table_transposed",
            lambda d, e, q, k, v: scaled_softmax(e @ k, d @ q, 1 / root_of_width(q)) @ (e @ v),
            "Your table of scores is (source, target): each source word shares out its weight among the "
            "steps of the decoder. A row should belong to who asks. With equal lengths no shape complains.",
        ),
        Mistake(
            "weights_returned",
            lambda d, e, q, k, v: scaled_softmax(d @ q, e @ k, 1 / root_of_width(q)),
            "These are the weights, one row for each step of the decoder, and they are right. What do they "
            "have to be applied to?",
        ),
        Mistake(
            "not_as_stored",
            lambda d, e, q, k, v: d @ q.T,
            "The shapes do not meet: the weights here are (d, d_k), ready for x @ w. torch.nn.Linear "
            "stores them the other way round, and there one needs the transpose.",
            also=[lambda d, e, q, k, v: q @ d, lambda d, e, q, k, v: q.T @ d],
        ),
    ],
    laws=[
        Law("the output has one row for each query", lambda out, d, e, *w: len(out) == len(d)),
        Law(
            "what comes out lies between the smallest and the largest of the values",
            lambda out, d, e, q, k, v: between_the_values(out, e @ v),
        ),
    ],
)
