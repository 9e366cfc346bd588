"""What the experiments of chapter 18 measure: how near an answer is, where it was fetched from, and where it breaks."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.alignment import hard
from minattn.pictures.colouring import Colourer, KernelColourer
from minattn.pictures.routing import Router, decibels
from minattn.pointing import pointing
from minattn.recording import attending, recording
from minattn.tasks.coloured_dots import SIDE, Dotted, at, coloured_dots
from minattn.tasks.coloured_dots import truth as best_dot
from minattn.tasks.photos import photos
from minattn.tasks.turned_pictures import COMMANDS, Turned, truth, turned, with_commands
from minattn.tasks.turned_pictures import SIDE as SMALL

AT_ONCE = 20
N_DOTS = (4, 8, 32, 64)
"""Beside the sixteen of the training."""
NEAR = 0.08
"""How far apart two colours are that count as one; the plane of all of them is some 1.5 wide."""


# Pictures to be turned -----------------------------------------------------------------------------


def photo_crops(n: int = 400, seed: int = 0) -> Turned:
    """Cut squares out of photos that no model was trained on, each with a command."""
    generator = torch.Generator().manual_seed(seed)
    sheets = [torch.from_numpy(photo.copy()).float() / 255 for photo in photos("test").values()]
    crops = []
    for i in range(n):
        sheet = sheets[i // len(COMMANDS) % len(sheets)]
        top, left = (
            int(torch.randint(size - SMALL + 1, (), generator=generator)) for size in sheet.shape
        )
        crops.append(sheet[top : top + SMALL, left : left + SMALL])
    return with_commands(torch.stack(crops))


@torch.no_grad()
def turned_well(model: nn.Module, batch: Turned) -> dict[str, Any]:
    """Score pictures, also command by command; and of a router where it looks, also if it looks at one place only."""
    near = decibels(model(batch.picture, batch.command), batch.answer).clamp(max=100)
    scores: dict[str, Any] = {
        "decibels": near.mean().item(),
        "worst": near.min().item(),
        "commands": {
            name: near[batch.command == i].mean().item() for i, name in enumerate(COMMANDS)
        },
    }
    if isinstance(model, Router):
        with recording(model) as record:
            model(batch.picture, batch.command)
        right = truth(batch.command)
        found = pointing(record.weights(), right)
        with attending(model, hard):
            only = decibels(model(batch.picture, batch.command), batch.answer).clamp(max=100)
        scores |= {
            "inside": found.inside.item(),
            "mass": found.mass.item(),
            "hard": only.mean().item(),
        }
        scores["mass or mirrored"] = pointing(
            record.weights(), right | mirrored(batch.command)
        ).mass.item()
    return scores


def mirrored(command: Tensor) -> Tensor:
    """Say where each patch would come from if the answer were mirrored left and right afterwards."""
    n_rows = int(truth(command).shape[1] ** 0.5)
    columns = torch.arange(n_rows**2).reshape(n_rows, n_rows).flip(1).flatten()
    return truth(command)[:, columns]


def mirrored_by(coins: str, batches: Iterable[Turned], seed: int) -> Iterator[Turned]:
    """Mirror training pictures left and right by the toss of a coin.

    "apart" tosses another coin for the answer, a famous fault; "together" mirrors both by one coin and leaves the
    command as it was; "command" changes the command as well, to the one that the mirrored pair obeys.
    """
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        coins_of_both = torch.randint(2, (2, len(batch.picture)), generator=generator)
        first, second = coins_of_both if coins == "apart" else coins_of_both[:1].expand(2, -1)
        command = torch.where(first == 1, MIRRORED[batch.command], batch.command)
        yield Turned(
            turned(batch.picture, first),
            command if coins == "command" else batch.command,
            turned(batch.answer, second),
        )


def _mirrored_commands() -> Tensor:
    """Find for each command the one that does to mirrored pictures what it does, seen in a mirror."""
    picture = torch.arange(9).reshape(1, 3, 3).expand(len(COMMANDS), -1, -1)
    commands, once = torch.arange(len(COMMANDS)), torch.ones(len(COMMANDS), dtype=torch.int64)
    wanted = turned(turned(turned(picture, once), commands), once)
    return (wanted[:, None] == turned(picture, commands)).flatten(2).all(-1).int().argmax(1)


MIRRORED = _mirrored_commands()
"""Quarter turns change places, and so do the two swaps; the others stay."""


def outlined(batches: Iterable[Turned]) -> Iterator[Turned]:
    """Ask for outlines, whatever the command: how far each pixel is from the mean of the nine around it."""
    for batch in batches:
        mean = F.avg_pool2d(batch.picture[:, None], 3, stride=1, padding=1)[:, 0]
        yield batch._replace(answer=(batch.picture - mean).abs())


# Photos to be coloured -----------------------------------------------------------------------------


@torch.no_grad()
def coloured(model: nn.Module, batch: Dotted) -> Tensor:
    """Colour crops, a few at once."""
    parts = zip(*(x.split(AT_ONCE) for x in batch[:3]), strict=True)
    return torch.cat([model(*part) for part in parts])


def mean_decibels(model: nn.Module, batch: Dotted) -> float:
    return decibels(coloured(model, batch), batch.colour).mean().item()


def with_dots(batch: Dotted, place: Tensor) -> Dotted:
    """Lay dots at other places."""
    return batch._replace(place=place, dots=at(batch.colour, place))


def coloured_well(model: nn.Module, turned: bool, n: int, seed: int) -> dict[str, Any]:
    """Score crops that nothing was chosen by; also with fewer and more dots, and where it gets harder."""
    batch = coloured_dots("held_out", n, turned=turned, seed=seed)
    found = coloured(model, batch)
    scores: dict[str, Any] = {"decibels": decibels(found, batch.colour).mean().item()}
    scores["dots"] = {
        str(k): mean_decibels(
            model, coloured_dots("held_out", n, n_dots=k, turned=turned, seed=seed)
        )
        for k in N_DOTS
    }
    scores |= {
        "one half": one_half(model, batch, found, seed),
        "no such dot": no_such_dot(model, batch, found, seed),
    }
    if isinstance(model, KernelColourer):
        scores |= pointed(model, batch)
    if isinstance(model, Colourer):
        scores["widths"] = model.log_widths.exp().tolist()
    return scores


@torch.no_grad()
def pointed(model: KernelColourer, batch: Dotted) -> dict[str, float]:
    """Score how often a pixel looks most at the dot of the nearest colour, and say what that dot alone would give."""
    found = []
    for part in zip(*(x.split(AT_ONCE) for x in batch), strict=True):
        with recording(model) as record:
            model(*part[:3])
        found.append(pointing(record.weights(), best_dot(Dotted(*part))))
    best = torch.cdist(batch.colour.flatten(1, 2), batch.dots).argmin(-1)
    oracle = at(batch.dots[:, None], best).view_as(batch.colour)
    return {
        "inside": sum(f.inside.item() for f in found) / len(found),
        "mass": sum(f.mass.item() for f in found) / len(found),
        "chance": found[0].chance,
        "best dot": decibels(oracle, batch.colour).mean().item(),
    }


def one_half(model: nn.Module, batch: Dotted, found: Tensor, seed: int) -> dict[str, float]:
    """Lay all dots in the left half, and score both halves; beside dots that lie everywhere."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.arange(SIDE**2).view(SIDE, SIDE)[:, : SIDE // 2].flatten()
    order = torch.rand(len(batch.grey), len(left), generator=generator)
    aside = with_dots(batch, left[order.topk(batch.place.shape[1], dim=1).indices])
    scores = {}
    for name, answer in (("everywhere", found), ("left", coloured(model, aside))):
        for half, columns in (("left", slice(0, SIDE // 2)), ("right", slice(SIDE // 2, None))):
            near = decibels(answer[:, :, columns], batch.colour[:, :, columns])
            scores[f"{half} half, dots {name}"] = near.mean().item()
    return scores


def no_such_dot(model: nn.Module, batch: Dotted, found: Tensor, seed: int) -> dict[str, float]:
    """Lay no dot where the colour is that of some pixel, and score the pixels of that colour; beside dots as they fall.

    Crops most of whose pixels have the colour are left out, and so are those with hardly any.
    """
    generator = torch.Generator().manual_seed(seed)
    n, n_dots = batch.place.shape
    colour = batch.colour.flatten(1, 2)
    pixel = torch.randint(SIDE**2, (n, 1), generator=generator)
    alike = (colour - colour.gather(1, pixel[..., None].expand(-1, -1, 2))).norm(dim=-1) < NEAR
    order = torch.rand(n, SIDE**2, generator=generator).masked_fill(alike, -1)
    lacking = with_dots(batch, order.topk(n_dots, dim=1).indices)
    share = alike.float().mean(1)
    rows = (share > 0.02) & (share < 0.8)
    scores = {"crops": float(rows.sum())}
    for name, answer in (("as they fall", found), ("none of it", coloured(model, lacking))):
        error = (answer.flatten(1, 2) - colour).square().mean(-1)
        there = (error * alike).sum(1)[rows] / alike.sum(1)[rows]
        scores[f"that colour, dots {name}"] = (-10 * there.log10()).mean().item()
    return scores
