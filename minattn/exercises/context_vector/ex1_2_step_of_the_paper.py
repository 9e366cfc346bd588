"""Exercise 1.2: the step as the paper has it."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


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


EXERCISE = Exercise(
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
