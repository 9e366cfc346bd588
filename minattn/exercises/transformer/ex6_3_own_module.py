"""Exercise 6.3: a module of your own."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.exercises.telling import brief
from minattn.exercises.transformer.own_layer import look_into


class MyFeedForward(nn.Module):
    """Two linear maps with a ReLU between them, for every token by itself."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(d_model, d_ff)
        self.down_proj = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Transform every token by itself."""
        output: Tensor = self.down_proj(F.relu(self.up_proj(x)))
        return output


def _working(forward: Callable[[Any, Tensor], Any]) -> Answer:
    """Make a class with the right parameters that does something else with them."""

    class Variant(MyFeedForward):
        def forward(self, x: Tensor) -> Any:
            return forward(self, x)

    return Variant


def _holding(hold: Callable[[Any, int, int], Any]) -> Answer:
    """Make a class that holds something else."""

    class Variant(MyFeedForward):
        def __init__(self, d_model: int, d_ff: int) -> None:
            nn.Module.__init__(self)
            hold(self, d_model, d_ff)

    return Variant


def _maps(
    up: Callable[[int, int], Sequence[int]],
    down: Callable[[int, int], Sequence[int]],
    *,
    biases: tuple[bool, bool] = (True, True),
    names: tuple[str, str] = ("up_proj", "down_proj"),
) -> Answer:
    """Make a class with other maps: their widths, whether they have a bias, and their names."""

    def hold(self: nn.Module, d_model: int, d_ff: int) -> None:
        for name, widths, bias in zip(names, (up, down), biases, strict=True):
            n_in, n_out = widths(d_model, d_ff)
            setattr(self, name, nn.Linear(n_in, n_out, bias=bias))

    return _holding(hold)


def _up(d_model: int, d_ff: int) -> Sequence[int]:
    return d_model, d_ff


def _down(d_model: int, d_ff: int) -> Sequence[int]:
    return d_ff, d_model


def _hold_list(self: Any, d_model: int, d_ff: int) -> None:
    self.layers = [nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)]


def _hold_tensors(self: Any, d_model: int, d_ff: int) -> None:
    self.w_up, self.b_up = torch.zeros(d_model, d_ff), torch.zeros(d_ff)


def _hold_norm(self: Any, d_model: int, d_ff: int) -> None:
    MyFeedForward.__init__(self, d_model, d_ff)
    self.norm = nn.LayerNorm(d_model)


def _too_early(self: Any, d_model: int, d_ff: int) -> None:
    self.up_proj = nn.Linear(d_model, d_ff)


def _too_early_by_hand(self: Any, d_model: int, d_ff: int) -> None:
    self.up_proj = nn.Parameter(torch.zeros(d_model, d_ff))


def _without_super(hold: Callable[[Any, int, int], Any]) -> Answer:
    """Make a class that assigns its layers before nn.Module is ready for them."""
    return type("Variant", (MyFeedForward,), {"__init__": hold})


def _with_activation(activation: Callable[[Tensor], Tensor]) -> Answer:
    return _working(lambda self, x: self.down_proj(activation(self.up_proj(x))))


def _around(change: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]) -> Answer:
    """Make a class that does something with the tokens before the right maps, or with what they return."""
    return _working(lambda self, x: change(x, lambda h: MyFeedForward.forward(self, h)))


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _untraced(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        return MyFeedForward.forward(self, x)


def _by_data(self: Any, x: Tensor) -> Any:
    up, down = self.up_proj, self.down_proj
    return F.relu(x @ up.weight.data.T + up.bias.data) @ down.weight.data.T + down.bias.data


def _cases() -> list[Case]:
    return [
        (3, 5, numbers(620, 1, 2, 3)),
        (5, 2, numbers(621, 2, 3, 5)),
        (7, 11, 2 * numbers(622, 3, 5, 7)),
    ]


def _show_case(d_model: int, d_ff: int, x: Tensor) -> str:
    return f"MyFeedForward({d_model}, {d_ff}) with known weights, called on x = {brief(x)}"


EXERCISE = Exercise(
    number="6.3",
    title="A module of your own",
    solution=MyFeedForward,
    cases=_cases,
    show_case=_show_case,
    trial=look_into,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "a_layer",
            nn.Identity(),
            "You passed a layer that is made already. The checker wants to make some itself, of several "
            'sizes: pass the class, check("6.3", MyFeedForward), without brackets and widths.',
        ),
        Mistake(
            "no_super",
            _without_super(_too_early),
            "super().__init__() is missing, or comes after the first layer. It makes the tables in which a "
            "module notes its layers and parameters, so it has to be the first line of __init__.",
            also=[_without_super(_too_early_by_hand)],
        ),
        Mistake(
            "in_a_list",
            _holding(_hold_list),
            "The layer has no parameters: its maps are in a list (or tuple or dict), and nn.Module does not "
            "look into one. The optimizer would never hear of them. Make each an attribute of its own; "
            "nn.ModuleList is there for long lists.",
        ),
        Mistake(
            "plain_tensors",
            _holding(_hold_tensors),
            "The layer has no parameters: its matrices are plain tensors. They compute, but no optimizer is "
            "told of them and no state dict has them. nn.Linear makes parameters of its own; by hand it "
            "takes nn.Parameter.",
        ),
        Mistake(
            "nothing_kept",
            _holding(lambda self, d_model, d_ff: None),
            "The layer keeps no parameters. Are the maps made in forward? Then there are new random weights "
            "at each call, and nothing is ever learned. Or has __init__ only local names for them? What is "
            "to stay is assigned to self.",
        ),
        Mistake(
            "maps_swapped",
            _maps(_down, _up),
            "The widths of a map have changed places, or the maps have: up_proj goes from d_model to d_ff, "
            "down_proj back. nn.Linear takes the width of what comes in first, though the shape of its weight "
            "has it last.",
            also=[_maps(_down, _down), _maps(_up, _up)],
        ),
        Mistake(
            "no_bias",
            _maps(_up, _down, biases=(False, False)),
            "A bias is missing. In equation 2 of the paper both maps have one, and nn.Linear has it unless "
            "it is told otherwise.",
            also=[
                _maps(_up, _down, biases=(False, True)),
                _maps(_up, _down, biases=(True, False)),
            ],
        ),
        Mistake(
            "four_times_wider",
            _maps(
                lambda d_model, d_ff: (d_model, 4 * d_model),
                lambda d_model, d_ff: (4 * d_model, d_model),
            ),
            "Your layer is 4 * d_model wide inside. That is how the paper chose it, but the width is an "
            "argument here: use d_ff.",
            also=[
                _maps(lambda d, d_ff: (d, 2048), lambda d, d_ff: (2048, d)),
            ],
        ),
        Mistake(
            "d_ff_unused",
            _maps(lambda d, d_ff: (d, d), lambda d, d_ff: (d, d)),
            "Both maps go from d_model to d_model. Between them a token is d_ff wide: up_proj makes it wider, "
            "down_proj brings it back.",
        ),
        Mistake(
            "other_names",
            _maps(_up, _down, names=("linear_1", "linear_2")),
            "The sizes fit, but the parameters have other names. A state dict finds each weight by the names "
            "of the attributes that lead to it, so the weights of another layer cannot be loaded. Make two "
            "nn.Linear, self.up_proj and self.down_proj.",
        ),
        Mistake(
            "more_parameters",
            _holding(_hold_norm),
            "There are more parameters than those of the two maps. A norm? It belongs to the sub-layer and "
            "stands around the feed-forward, as the residual does.",
        ),
        Mistake(
            "dropout",
            _around(lambda x, f: F.dropout(f(x), 0.1)),
            "The layer gives another result when it is called again, or in evaluation. If it is dropout: the "
            "paper drops what a sub-layer found, before the sum, and in this chapter that is done around the "
            "feed-forward.",
        ),
        Mistake(
            "no_gradient",
            _working(_untraced),
            "The numbers are there, but no gradient reaches all of the parameters, so they would never learn. "
            "no_grad, detach, .data and .item() cut the way back from the loss. Call the maps as they are.",
            also=[
                _working(_by_data),
                _working(lambda self, x: self.down_proj(F.relu(self.up_proj(x)).detach())),
                _working(lambda self, x: MyFeedForward.forward(self, x).detach()),
            ],
        ),
        Mistake(
            "no_activation",
            _with_activation(lambda h: h),
            "There is no ReLU between the maps. Two linear maps in a row are one linear map, and the wide "
            "middle is of no use.",
        ),
        Mistake(
            "activation_again",
            _around(lambda x, f: F.relu(f(x))),
            "There is a second ReLU, at the end or at the beginning. At the end it lets the layer find nothing "
            "below 0, so no feature of the stream could become smaller; at the beginning it hides what is "
            "below 0. One ReLU, between the maps.",
            also=[_working(lambda self, x: self.down_proj(F.relu(self.up_proj(F.relu(x)))))],
        ),
        Mistake(
            "activation_misplaced",
            _working(lambda self, x: F.relu(self.down_proj(self.up_proj(x)))),
            "The ReLU is not between the maps, but before or after both of them. So the two maps still stand "
            "side by side and are one. Mind the brackets: down(relu(up(x))).",
            also=[_working(lambda self, x: self.down_proj(self.up_proj(F.relu(x))))],
        ),
        Mistake(
            "another_activation",
            _with_activation(F.gelu),
            "The activation is not a ReLU. GELU and its relatives came later and are common today; the paper "
            "has max(0, ...), and the weights that are loaded here were made for it.",
            also=[
                _with_activation(activation)
                for activation in (
                    lambda h: F.gelu(h, approximate="tanh"),
                    F.silu,
                    F.elu,
                    F.leaky_relu,
                    torch.tanh,
                    torch.sigmoid,
                    F.softplus,
                    torch.abs,
                    torch.square,
                    lambda h: h.softmax(-1),
                    lambda h: F.relu(-h),
                )
            ],
        ),
        Mistake(
            "residual",
            _around(lambda x, f: x + f(x)),
            "The tokens themselves are added to the result. The residual is around the feed-forward, not in "
            "it: whoever calls the layer adds what it found.",
            also=[
                _around(lambda x, f: _norm(x + f(x))),
                _around(lambda x, f: x + f(_norm(x))),
            ],
        ),
        Mistake(
            "normed",
            _around(lambda x, f: f(_norm(x))),
            "The tokens are normed before the maps, or their result after. The norm is part of the sub-layer, "
            "and it stands around the feed-forward, with a gain and bias of its own.",
            also=[_around(lambda x, f: _norm(f(x)))],
        ),
        Mistake(
            "tokens_mixed",
            _around(lambda x, f: f(x.transpose(1, 2))),
            "The maps are to run over the features of a token, and you let them see something of the others: "
            "turned axes, or a sum over axis 1. nn.Linear works on the last axis whatever stands before, so x "
            "may go in as it is.",
            also=[
                _around(lambda x, f: f(x.transpose(1, 2)).transpose(1, 2)),
                _around(lambda x, f: f(x.flatten(1))),
                _around(lambda x, f: f(x.mean(1))),
                _around(lambda x, f: f(x.mean(1, keepdim=True))),
                _around(lambda x, f: f(x).mean(1)),
                _around(lambda x, f: f(x).softmax(1)),
            ],
        ),
        Mistake(
            "order_of_maps",
            _working(lambda self, x: self.up_proj(F.relu(self.down_proj(x)))),
            "down_proj is called first. A token is d_model wide, and down_proj takes what is d_ff wide: first "
            "up, then down.",
        ),
        Mistake(
            "halfway",
            _working(lambda self, x: F.relu(self.up_proj(x))),
            "Your layer stops in the middle: what it returns is d_ff wide. down_proj has to bring it back to "
            "d_model, so that it can be added to the tokens.",
            also=[_working(lambda self, x: self.up_proj(x))],
        ),
        Mistake(
            "probabilities",
            _around(lambda x, f: f(x).softmax(-1)),
            "There is a softmax at the end. The feed-forward returns vectors that are added to the stream, "
            "not a distribution.",
        ),
    ],
)
