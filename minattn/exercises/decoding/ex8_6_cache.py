"""Exercise 8.6: the cache."""

import copy
import math
import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.decoding.cache_step import Step, cached, looked_up, stepped, with_output
from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers
from minattn.training import seeded


def attend_with_cache(
    x: Tensor, k: Tensor, v: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Let the newest token attend to all tokens so far and to itself; return the grown cache too."""
    s = Step(x, k, v, w_q, w_k, w_v)
    return looked_up(s.q, s.keys, s.values), s.keys, s.values


def _grown(cache: Tensor, newest: Tensor) -> Tensor:
    return torch.cat([cache, newest], dim=1)


def _first_key_only(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _not_itself(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Hide the newest key, as a mask that is too strict would."""
    scores = q @ k.transpose(1, 2) / math.sqrt(k.shape[2])
    scores[..., -1] = -math.inf
    return scores.softmax(-1) @ v


def _overwritten(cache: Tensor, newest: Tensor, place: int = -1) -> Tensor:
    cache = cache.clone()
    cache[:, place] = newest[:, 0]
    return cache


def _shifted(cache: Tensor, newest: Tensor) -> Tensor:
    return _grown(cache, newest)[:, 1:] if cache.shape[1] else newest


def _all_queries(s: Step) -> tuple[Tensor, Tensor, Tensor]:
    """Take the cached keys for queries, for there is nothing else to take."""
    return looked_up(_grown(s.k, s.q), s.keys, s.values), s.keys, s.values


def _projected_again(s: Step) -> tuple[Tensor, Tensor, Tensor]:
    keys, values = _grown(s.k, s.x) @ s.w_k, _grown(s.v, s.x) @ s.w_v
    return looked_up(s.q, keys, values), keys, values


def _raw_then_projected(s: Step) -> tuple[Tensor, Tensor, Tensor]:
    keys, values = _grown(s.k, s.x), _grown(s.v, s.x)
    return looked_up(s.q, keys @ s.w_k, values @ s.w_v), keys, values


def _turned_weights(*names: str) -> Callable[..., Any]:
    """Make an answer that uses some matrices as nn.Linear stores them."""

    def answer(s: Step) -> tuple[Tensor, Tensor, Tensor]:
        w = {name: getattr(s, name).T if name in names else getattr(s, name) for name in _MATRICES}
        return attend_with_cache(s.x, s.k, s.v, **w)

    return stepped(answer)


_MATRICES = ("w_q", "w_k", "w_v")


def _form(result: Any) -> str:
    """Write how tensors are put together, such as "(tensor, (tensor, tensor))"."""
    if isinstance(result, list | tuple):
        return f"({', '.join(map(_form, result))})"
    return "tensor" if isinstance(result, Tensor) else type(result).__name__


def _nesting(answer: Answer, case: Case) -> tuple[str, str]:
    """Tell that three tensors come in tuples within a tuple, and in which."""
    try:
        with seeded(0):
            form = _form(answer(*copy.deepcopy(case)))
    except (Exception, SystemExit):  # that is told elsewhere
        return "", ""
    tensors = re.findall(r"\w+", form)
    if tensors != ["tensor"] * 3 or form.count("(") == 1:
        return "", ""
    return "The result is nested.", f"It is {form}, and should be (tensor, tensor, tensor)."


def _cache_cases() -> list[Case]:
    def case(seed: int, batch: int, n: int, d: int) -> Case:
        w_q, w_k, w_v = (numbers(seed + i, d, d) / math.sqrt(d) for i in range(3))
        k, v = numbers(seed + 3, batch, n, d), numbers(seed + 4, batch, n, d)
        return numbers(seed + 5, batch, 1, d), k, v, 1.7 * w_q, 1.7 * w_k, w_v

    return [case(740, 1, 2, 4), case(746, 2, 0, 3), case(752, 3, 5, 7), case(758, 2, 1, 5)]


EXERCISE = Exercise(
    number="8.6",
    title="The cache",
    solution=attend_with_cache,
    cases=_cache_cases,
    tolerance=1e-4,
    locate=_nesting,
    mistakes=[
        Mistake(
            "cannot_see_itself",
            stepped(lambda s: (looked_up(s.q, s.k, s.v), s.keys, s.values)),
            "The newest token attends to the cache as it was, so it cannot see itself. Under a causal mask a "
            "token sees those before it and itself. Append its key and value first, and then attend.",
            also=[cached(look=_not_itself)],
        ),
        Mistake(
            "never_grows",
            stepped(lambda s: (looked_up(s.q, s.k, s.v), s.k, s.v)),
            "The key and the value of the newest token go nowhere: the cache comes back as it was. So the "
            "next tokens could not see this one. cat returns a new tensor; keep it.",
            also=[stepped(lambda s: (looked_up(s.q, s.keys, s.values), s.k, s.v))],
        ),
        Mistake(
            "prepended",
            cached(lambda s: _grown(s.x @ s.w_k, s.k), lambda s: _grown(s.x @ s.w_v, s.v)),
            "The newest key and value stand in front. The output does not notice, for attention knows no "
            "order; but a mask or a position that counts along the keys would go wrong. Put the cache first "
            "and the newest behind it.",
        ),
        Mistake(
            "values_not_appended",
            stepped(lambda s: (looked_up(s.q, s.keys, s.v), s.keys, s.v)),
            "Keys and values are no longer equal in number: one of the two was appended and the other was "
            "not. Every token has a key and a value, and both are kept.",
            also=[
                stepped(lambda s: (looked_up(s.q, s.k, s.values), s.k, s.values)),
                stepped(lambda s: (looked_up(s.q, s.keys, s.values), s.keys, s.v)),
                stepped(lambda s: (looked_up(s.q, s.keys, s.values), s.k, s.values)),
            ],
        ),
        Mistake(
            "v_from_w_k",
            cached(values=lambda s: _grown(s.v, s.x @ s.w_k)),
            "The newest value is made with w_k. A value has a matrix of its own: w_v. Did you copy a line?",
            also=[cached(values=lambda s: _grown(s.v, s.x @ s.w_q))],
        ),
        Mistake(
            "k_from_another",
            cached(keys=lambda s: _grown(s.k, s.x @ s.w_v)),
            "The newest key is not made with w_k. It is compared with queries, together with the other "
            "keys, so it has to be made as they were.",
            also=[
                cached(keys=lambda s: _grown(s.k, s.x @ s.w_q)),
                cached(lambda s: _grown(s.k, s.x @ s.w_v), lambda s: _grown(s.v, s.x @ s.w_k)),
            ],
        ),
        Mistake(
            "raw_cached",
            cached(lambda s: _grown(s.k, s.x), lambda s: _grown(s.v, s.x)),
            "The newest token goes into the cache as it is. The cache holds keys and values, which are "
            "projected already: append x @ w_k and x @ w_v.",
            also=[
                cached(keys=lambda s: _grown(s.k, s.x)),
                cached(values=lambda s: _grown(s.v, s.x)),
                stepped(lambda s: (looked_up(s.q, s.keys, s.values), *_raw_then_projected(s)[1:])),
            ],
        ),
        Mistake(
            "projected_again",
            stepped(_projected_again),
            "What is in the cache is projected a second time. Those are keys and values already; to make "
            "each of them only once is what the cache is for. Project x alone, then append.",
            also=[
                stepped(_raw_then_projected),
                cached(lambda s: s.keys @ s.w_k, lambda s: s.values @ s.w_v),
                cached(lambda s: _grown(s.k @ s.w_k, s.x @ s.w_k)),
            ],
        ),
        Mistake(
            "newest_only",
            cached(lambda s: s.x @ s.w_k, lambda s: s.x @ s.w_v),
            "Only the newest key and value are left: the cache was replaced. The token sees nothing but "
            "itself. Append to what was there.",
            also=[
                stepped(lambda s: (looked_up(s.q, s.keys, s.values), s.x @ s.w_k, s.x @ s.w_v)),
                stepped(lambda s: (looked_up(s.q, s.x @ s.w_k, s.x @ s.w_v), s.keys, s.values)),
            ],
        ),
        Mistake(
            "mask_at_the_top_left",
            cached(look=_first_key_only),
            "The newest token sees the first key only. A causal mask made by tril or is_causal begins at the "
            "top left, so its one row belongs to the first token, and yours is the last. It may see all that "
            "is there: no mask is needed.",
        ),
        Mistake(
            "no_scale",
            cached(look=lambda q, k, v: looked_up(q, k, v, 1.0)),
            "The scores are not divided by the root of d. That a cache is used changes nothing in the "
            "attention.",
        ),
        Mistake(
            "other_scale",
            cached(look=lambda q, k, v: looked_up(q, k, v, k.shape[2])),
            "The scores are divided by the wrong number. It is the root of d, the width of a key, and has "
            "nothing to do with how many keys there are.",
            also=[
                cached(look=lambda q, k, v: looked_up(q, k, v, math.sqrt(k.shape[1]))),
                cached(look=lambda q, k, v: looked_up(q, k, v, k.shape[1])),
                cached(look=lambda q, k, v: looked_up(q, k, v, 1 / math.sqrt(k.shape[2]))),
            ],
        ),
        Mistake(
            "no_softmax",
            cached(
                look=lambda q, k, v: (q @ k.transpose(1, 2) / math.sqrt(k.shape[2])) @ v,
            ),
            "There is no softmax between scores and values, so the weights do not sum to 1.",
        ),
        Mistake(
            "softmax_axis",
            cached(look=lambda q, k, v: looked_up(q, k, v, axis=1)),
            "The softmax runs over the queries. There is only one, so every weight is 1 and the values are "
            "just added up. It runs over the keys, the last axis.",
            also=[cached(look=lambda q, k, v: looked_up(q, k, v, axis=0))],
        ),
        Mistake(
            "queries_appended",
            stepped(_all_queries),
            "There is an output for every token so far. Only the newest one asks: the others have asked in "
            "their own steps, and nobody needs their queries again. Keys and values are cached, queries are "
            "not.",
            also=[
                cached(look=lambda q, k, v: looked_up(k, k, v)),
                cached(look=lambda q, k, v: looked_up(q, k, v).expand(-1, k.shape[1], -1)),
            ],
        ),
        Mistake(
            "x_asks",
            stepped(lambda s: (looked_up(s.x, s.keys, s.values), s.keys, s.values)),
            "The query is not made with w_q. The newest token asks with x @ w_q.",
            also=[
                stepped(lambda s: (looked_up(s.x @ s.w_k, s.keys, s.values), s.keys, s.values)),
                stepped(lambda s: (looked_up(s.x @ s.w_v, s.keys, s.values), s.keys, s.values)),
            ],
        ),
        Mistake(
            "oldest_dropped",
            cached(lambda s: _shifted(s.k, s.x @ s.w_k), lambda s: _shifted(s.v, s.x @ s.w_v)),
            "The newest key pushes the oldest out, so the cache does not grow. Some models do that, to look "
            "back only so far. Here every token sees all before it.",
        ),
        Mistake(
            "overwritten",
            cached(
                lambda s: _overwritten(s.k, s.x @ s.w_k), lambda s: _overwritten(s.v, s.x @ s.w_v)
            ),
            "The newest key and value are written over others, and there may be none yet. The cache has to "
            "become longer by one: torch.cat along the tokens.",
            also=[
                cached(
                    lambda s: _overwritten(s.k, s.x @ s.w_k, 0),
                    lambda s: _overwritten(s.v, s.x @ s.w_v, 0),
                ),
            ],
        ),
        Mistake(
            "added_to_the_cache",
            cached(lambda s: s.k + s.x @ s.w_k, lambda s: s.v + s.x @ s.w_v),
            "The newest key is added to every key there is. It should stand behind them: torch.cat along "
            "the tokens.",
        ),
        Mistake(
            "wrong_axis",
            cached(
                lambda s: torch.cat([s.k, s.x @ s.w_k], dim=-1),
                lambda s: torch.cat([s.v, s.x @ s.w_v], dim=-1),
            ),
            "The newest key is put at the wrong side: longer keys, or more sequences. The axes are (batch, "
            "tokens, d), and it is the tokens that become one more: dim=1.",
            also=[
                cached(
                    lambda s: torch.cat([s.k, s.x @ s.w_k]), lambda s: torch.cat([s.v, s.x @ s.w_v])
                ),
            ],
        ),
        Mistake(
            "keys_as_values",
            stepped(lambda s: (looked_up(s.q, s.keys, s.keys), s.keys, s.values)),
            "The keys are handed over. They say where something is to be found; what is handed over are the "
            "values.",
            also=[stepped(lambda s: (looked_up(s.q, s.values, s.keys), s.keys, s.values))],
        ),
        Mistake(
            "returned_in_another_order",
            stepped(lambda s: (looked_up(s.q, s.keys, s.values), s.values, s.keys)),
            "All three are right, but they come in another order. Return the output, then the keys, then the "
            "values.",
            also=[
                stepped(lambda s: (s.keys, s.values, looked_up(s.q, s.keys, s.values))),
            ],
        ),
        Mistake(
            "nested",
            stepped(lambda s: (looked_up(s.q, s.keys, s.values), (s.keys, s.values))),
            "You put tensors together in a tuple of their own. Return three tensors: the output, the keys, "
            "the values.",
            also=[
                stepped(lambda s: ((s.keys, s.values), looked_up(s.q, s.keys, s.values))),
                stepped(lambda s: ((looked_up(s.q, s.keys, s.values), s.keys), s.values)),
            ],
        ),
        Mistake(
            "output_alone",
            stepped(lambda s: looked_up(s.q, s.keys, s.values)),
            "The output is right, but the next step needs the cache too. Return the output and the longer "
            "keys and values.",
        ),
        Mistake(
            "axis_dropped",
            with_output(lambda s, out: out[:, 0]),
            "The output has lost the axis of the tokens. One token came in, with shape (batch, 1, d), and "
            "one goes out, with the same shape.",
            also=[with_output(lambda s, out: out.squeeze())],
        ),
        Mistake(
            "weights_returned",
            with_output(
                lambda s, out: (s.q @ s.keys.transpose(1, 2) / math.sqrt(s.q.shape[2])).softmax(-1)
            ),
            "These are the weights. They still have to be multiplied by the values.",
        ),
        Mistake(
            "transposed",
            _turned_weights(*_MATRICES),
            "A matrix is used the wrong way round. These are ready for x @ w_q; nn.Linear keeps its own as "
            "(out, in).",
            also=[_turned_weights(name) for name in _MATRICES],
        ),
    ],
    laws=[
        Law(
            "keys and values become longer by one",
            lambda out, x, k, v, *w: out[1].shape[1] == out[2].shape[1] == k.shape[1] + 1,
        ),
        Law(
            "what was in the cache stays as it was",
            lambda out, x, k, v, *w: (
                torch.equal(out[1][:, : k.shape[1]], k) and torch.equal(out[2][:, : v.shape[1]], v)
            ),
        ),
        Law(
            "with an empty cache the output is the value of the token itself",
            lambda out, x, k, v, *w: k.shape[1] > 0 or torch.allclose(out[0], x @ w[2], atol=1e-4),
        ),
    ],
)
