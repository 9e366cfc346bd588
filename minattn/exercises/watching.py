"""Where a translator that a learner put together from its pieces first goes wrong."""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from minattn.exercises.comparing import same
from minattn.exercises.exercise import Answer, Case
from minattn.masks import to_bool
from minattn.multihead import MultiHeadAttention
from minattn.training import seeded
from minattn.transformer import Residual, TransformerTranslator
from minattn.vocabulary import token_mask


@dataclass
class _Call:
    """One call of a piece.

    Args:
        piece: its name, in words.
        given: what it was given, by the names of its arguments; a mask as it arrives at the scores.
        mask: the mask as it was given.
        result: what it returned, unless it stopped with an error.
    """

    piece: str
    given: dict[str, Any]
    mask: Any = None
    result: Any = None


def _pieces(model: TransformerTranslator) -> dict[str, nn.Module]:
    """Name the pieces that an answer may call."""
    pieces: dict[str, nn.Module] = {
        "the source embedding": model.source_embedding,
        "the target embedding": model.target_embedding,
        "the positions": model.positions,  # type: ignore[dict-item]
        "the last norm of the encoder": model.encoder.norm,  # type: ignore[dict-item]
        "the last norm of the decoder": model.decoder.norm,  # type: ignore[dict-item]
        "the readout": model.readout,
    }
    for side, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, block in enumerate(stack.blocks, 1):
            for name, part in block.named_children():
                if isinstance(part, Residual):
                    words = name.removeprefix("add_").replace("_", "-")
                    pieces[f"the norm before the {words} of {side} block {i}"] = part.norm
                else:
                    pieces[f"the {name.replace('_', '-')} of {side} block {i}"] = part
    return pieces


def _watch(answer: Answer, case: Case) -> tuple[list[_Call], str]:
    """Run an answer, and return every call of a piece and the error that it stopped with."""
    model, source, target_in = copy.deepcopy(case)
    calls: list[_Call] = []

    def begin(name: str, part: nn.Module, args: Any, kwargs: Any) -> None:
        try:
            given = dict(inspect.signature(part.forward).bind(*args, **kwargs).arguments)
        except TypeError:  # it will stop with an error of its own
            return
        if name == "the positions":
            x = given.get("x", given.get("input"))
            length = x.shape[1] if isinstance(x, Tensor) and x.ndim > 1 else 0
            name += " of the source" if length == source.shape[1] else " of the target"
        mask = given.pop("mask", None)
        calls.append(_Call(name, given, mask))

    def end(part: nn.Module, args: Any, result: Any) -> None:
        calls[-1].result = result

    def with_mask(attend: Answer, query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Any:
        shape = (*query.shape[:-1], key.shape[-2])
        all_seen = torch.ones(shape, dtype=torch.bool)
        calls[-1].given["mask"] = all_seen if mask is None else to_bool(mask, shape).expand(shape)
        return attend(query, key, value, mask)

    for name, part in _pieces(model).items():
        part.register_forward_pre_hook(partial(begin, name), with_kwargs=True)
        part.register_forward_hook(end)
        if isinstance(part, MultiHeadAttention):
            part.attend = partial(with_mask, part.attend)
    try:
        with seeded(0):
            answer(model, source, target_in)
    except (Exception, SystemExit) as error:
        return calls, f"{type(error).__name__}: {error}".split("\n")[0]
    return calls, ""


@cache
def _right_calls(solution: Answer, case: Case) -> Sequence[_Call]:
    """Return the calls of a right run."""
    return _watch(solution, case)[0]


def _alike(a: Any, b: Any, tokens: Tensor) -> bool:
    """Tell whether two things that a piece was given are the same, wherever the source has a token.

    The lengths of source and target differ in every case, so the length says which of the two it is.
    """
    if not isinstance(a, Tensor) or a.shape != b.shape:
        return False
    for axis in (1, 2):  # masks have the queries on axis 2
        if a.ndim > axis and (len(a), a.shape[axis]) == tuple(tokens.shape):
            a, b = a.movedim(axis, 1)[tokens], b.movedim(axis, 1)[tokens]
            break
    return same(a, b, _ROUNDING)


_ROUNDING = 1e-4


def _names(calls: Sequence[_Call]) -> list[tuple[str, str, Tensor]]:
    """Name the tensors of a right run, and the piece that each comes from."""
    known: list[tuple[str, str, Tensor]] = []
    last = ""
    for call in calls:
        for got in call.given.values():
            if got.dtype == torch.int64:
                known.append((f"the ids of the {call.piece.split()[1]}", call.piece, got))
            elif got.dtype != torch.bool and not any(got is x for *_, x in known):
                if call.piece.startswith("the positions"):
                    name = f"the result of {last} times embedding_scale"
                else:
                    name = f"the sum after {last}"
                known.append((name, last, got))
        known.append((f"the result of {call.piece}", call.piece, call.result))
        if "norm" not in call.piece:
            last = call.piece
    return known


def locate_in_translator(solution: Answer, answer: Answer, case: Case) -> tuple[str, str]:
    """Compare an answer with a right run, piece by piece, in the order in which it calls them.

    A piece that is never called, or once too often with the right thing, is no fault: an answer may compute what
    it likes by itself. What it gives to a piece has to be right.
    """
    right = _right_calls(solution, case)
    calls, error = _watch(answer, case)
    step = _first_wrong(calls, right, token_mask(case[1]))
    if step:
        return step, f"Then your code stopped: {error}" if error else ""
    return "", _progress(calls, right)


def _first_wrong(calls: Sequence[_Call], right: Sequence[_Call], tokens: Tensor) -> str:
    """Say which piece is the first to be given something else, and what."""
    expected = {call.piece: call for call in right}
    for i, call in enumerate(calls):
        wanted = expected[call.piece].given
        wrong = [name for name in wanted if not _alike(call.given.get(name), wanted[name], tokens)]
        if not wrong:
            continue
        before = [earlier.piece for earlier in calls[:i]]
        again = ", called once more" if call.piece in before else ""
        got, value = call.given.get(wrong[0]), wanted[wrong[0]]
        if wrong[0] == "mask":
            text = _say_mask(call, got, value)
        else:
            text = _say_tensor(
                wrong[0] if len(wanted) > 1 else "", got, value, right, tokens, before
            )
        return f"First difference: {call.piece}{again}.\n{text}"
    return ""


def _say_tensor(
    name: str,
    got: Any,
    value: Tensor,
    right: Sequence[_Call],
    tokens: Tensor,
    before: Sequence[str],
) -> str:
    """Say what should have been given, under which name, and what was given."""
    known = _names(right)
    wanted, piece = next((name, piece) for name, piece, x in known if x is value)
    should = f"Its {name} should be" if name else "It should be given"
    missing = f" {piece[0].upper()}{piece[1:]} was not called."
    if piece in before or value.dtype == torch.int64:
        missing = ""
    return f"{should} {wanted}. You gave {_guess(got, value, known, tokens)}.{missing}"


def _guess(
    got: Any, value: Tensor, known: Sequence[tuple[str, str, Tensor]], tokens: Tensor
) -> str:
    """Say what a piece was given instead of what it should be given."""
    if not isinstance(got, Tensor):
        return "nothing" if got is None else f"something of type {type(got).__name__}"
    for name, _, x in known:
        if _alike(got, x, tokens):
            return name
    if got.shape != value.shape:
        return (
            f"something of shape {tuple(got.shape)}, where the shape should be {tuple(value.shape)}"
        )
    factor = float((got * value).sum() / value.square().sum())
    if factor and _alike(got / factor, value, tokens):
        return f"{factor:.4g} times that"
    close = torch.isclose(got.double(), value.double(), _ROUNDING, _ROUNDING)
    place = tuple((~close).nonzero()[0].tolist())
    there = f"{float(got[place]):.4g} where {float(value[place]):.4g} should be"
    return f"something else: at {list(place)} stands {there}"


def _say_mask(call: _Call, got: Any, value: Tensor) -> str:
    """Say what a mask should hide, and what it hides; none arrived if it could not be used."""
    is_causal = "self-attention of decoder" in call.piece
    hides = "what comes later" if is_causal else "the padding of the source"
    if got is None:
        what = f"something of type {type(call.mask).__name__}"
        if isinstance(call.mask, Tensor):
            what = f"of shape {tuple(call.mask.shape)} and {call.mask.dtype}"
        return f"Its mask should hide {hides}. Yours, {what}, could not be used."
    if bool(got.all()):
        return f"Its mask should hide {hides}. Yours hides nothing."
    if torch.equal(got, ~value):
        return f"Its mask should hide {hides}. Yours hides everything else: True means that one may look."
    row, head, query = (got != value).any(-1).nonzero()[0].tolist()
    allowed, given = (x[row, head, query].nonzero()[:, 0].tolist() for x in (value, got))
    return (
        f"Its mask should hide {hides}. In row {row}, position {query} may look at {allowed}; "
        f"yours lets it look at {given}."
    )


def _progress(calls: Sequence[_Call], right: Sequence[_Call]) -> str:
    """Say how far an answer came that gave every piece the right thing."""
    if not calls:
        return "None of the pieces of the model was called."
    order = [call.piece for call in right]
    furthest = max(order.index(call.piece) for call in calls)
    if furthest == len(order) - 1:
        return "Every piece was given the right thing, the readout too. Look at what you return."
    return (
        "Every piece that you called was given the right thing. "
        f"The last one was {order[furthest]}; next would be {order[furthest + 1]}."
    )
