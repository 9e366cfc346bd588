"""What the experiments of chapter 17 measure: decibels, where attention looks, and both with what goes wrong."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn

from minattn.pictures.resampling import FACTOR, blur, enlarge, psnr, shrink
from minattn.pictures.super_resolution import StereoUpscaler
from minattn.pointing import pointing
from minattn.recording import recording
from minattn.tasks.stereo import REACH, StereoPairs, free_pair, motorcycle, stereo_pairs

N_VALIDATION = 12
SHIFTS = (0, 8, 16, 24, 32)
"""By how many columns the right view is moved further than it stood."""


def scenes() -> dict[str, StereoPairs]:
    """Return the pairs that nothing is trained on or chosen by."""
    return {"motorcycle": motorcycle(), "raccoon": free_pair()}


def validation() -> StereoPairs:
    """Return pairs from photographs of the validation part, by which everything is chosen."""
    return stereo_pairs(N_VALIDATION, 64, 192, part="validation", seed=1)


def counted(pairs: StereoPairs) -> Bool[Tensor, "batch height width"]:
    """Leave out the first columns, in which a pixel may have its counterpart outside of the right view."""
    found = torch.ones_like(pairs.left, dtype=torch.bool)
    found[..., :REACH] = False
    return found


def decibels(found: Tensor, pairs: StereoPairs) -> dict[str, float]:
    """Score a picture: all of it, what the right eye sees too, and what is hidden from it."""
    inside, visible = counted(pairs), pairs.visible()
    hidden = pairs.disparity.isfinite() & ~visible
    return {
        "all": psnr(found, pairs.left, inside),
        "visible": psnr(found, pairs.left, inside & visible),
        "hidden": psnr(found, pairs.left, inside & hidden),
    }


@torch.no_grad()
def sharpened(model: nn.Module, pairs: StereoPairs) -> dict[str, Any]:
    """Score what a model makes of pairs, and where it looks, if it does."""
    blurred = blur(pairs.left)
    if not isinstance(model, StereoUpscaler):
        return decibels(model(blurred, pairs.right), pairs)
    with recording(model) as record:
        found = model(blurred, pairs.right)
    weights = record.weights()
    rows, width = weights.shape[:2]
    at = pointing(
        weights,
        pairs.truth(),
        (pairs.visible() & counted(pairs)).flatten(0, 1),
        model.mask().to_bool((width, width)).expand(rows, -1, -1),
    )
    points = {"inside": at.inside.item(), "mass": at.mass.item(), "chance": at.chance}
    return decibels(found, pairs) | points


@torch.no_grad()
def in_tiles(model: nn.Module, pairs: StereoPairs) -> dict[str, float]:
    """Score a model on pieces of the size it was trained on, each by itself; what is over is left out."""

    def tiles(x: Tensor) -> Tensor:
        return x.unfold(1, 24, 24).unfold(2, 96, 96).flatten(0, 2)

    blurred, inside = tiles(blur(pairs.left)), tiles(counted(pairs))
    found = model(blurred, tiles(pairs.right))
    return {
        "model": psnr(found, tiles(pairs.left), inside),
        "bicubic": psnr(blurred, tiles(pairs.left), inside),
    }


@torch.no_grad()
def misled(model: nn.Module, pairs: StereoPairs) -> dict[str, float]:
    """Score what a model makes of a blurred view beside a reference that is wrong."""
    right, blurred = pairs.right, blur(pairs.left)
    references = {
        "right": right,
        "upside-down": right.flip(1),
        "rows+4": right.roll(4, 1),
        "rows+16": right.roll(16, 1),
        "grey": torch.full_like(right, 0.5),
        "blurred": blur(right),
    }
    inside = counted(pairs)
    return {
        name: psnr(model(blurred, other), pairs.left, inside) for name, other in references.items()
    }


@torch.no_grad()
def further(model: StereoUpscaler, pairs: StereoPairs) -> dict[str, Any]:
    """Score a model on disparities that are larger than any in training, with its reach and with a longer one."""
    found: dict[str, Any] = {}
    own = model.reach
    for shift in SHIFTS:
        moved = pairs.moved(shift)
        for name, reach in (("own reach", own), ("longer reach", own + shift)):
            model.reach = reach
            found.setdefault(name, {})[str(shift)] = _beyond(model, moved, REACH + shift)
    model.reach = own
    return found


def _beyond(model: StereoUpscaler, pairs: StereoPairs, first: int) -> dict[str, float]:
    """Score only columns whose counterpart is inside of the right view."""
    with recording(model) as record:
        found = model(blur(pairs.left), pairs.right)
    there = torch.zeros_like(pairs.left, dtype=torch.bool)
    there[..., first:] = True
    at = pointing(record.weights(), pairs.truth(), (pairs.visible() & there).flatten(0, 1))
    return {"all": psnr(found, pairs.left, there), "inside": at.inside.item()}


def enlarged_again(sharp: Tensor) -> dict[str, Tensor]:
    """Make a picture small and large again in six ways that are in use; a model was trained on the first."""
    small = shrink(sharp)
    height, width = sharp.shape[1:]
    half = FACTOR // 2
    moved = F.pad(sharp, (half, 0, half, 0), mode="replicate")[:, :height, :width]
    other = F.interpolate(small[:, None], (height, width), mode="bicubic", antialias=True)[:, 0]
    return {
        "antialiased": enlarge(small),
        "eight bits": enlarge((small * 255).round().clamp(0, 255) / 255),
        "other cubic": other,
        "not antialiased": enlarge(shrink(sharp, antialias=False)),
        "half a pixel off": enlarge(shrink(moved)),
        "every fourth pixel": enlarge(sharp[:, ::FACTOR, ::FACTOR]),
    }


@torch.no_grad()
def conventions(model: nn.Module, pairs: StereoPairs) -> dict[str, Any]:
    """Score one model on one picture by the conventions of how a small picture is made and what is compared."""
    inside = counted(pairs)
    border = torch.zeros_like(inside)
    border[:, FACTOR:-FACTOR, FACTOR:-FACTOR] = True
    found: dict[str, Any] = {}
    for name, large in enlarged_again(pairs.left).items():
        for who, picture in (("bicubic", large), ("model", model(large, pairs.right))):
            found.setdefault(name, {})[who] = {
                "grey": psnr(picture, pairs.left, inside),
                "grey, no border": psnr(picture, pairs.left, inside & border),
                "luma": psnr(luma(picture), luma(pairs.left), inside, peak=255),
                "luma, no border": psnr(luma(picture), luma(pairs.left), inside & border, peak=255),
            }
    return found


def luma(grey: Tensor) -> Tensor:
    """Return the brightness as television counts it: from 16 (black) to 235 (white)."""
    return 16 + 219 * grey
