"""Chapter 17: what is known without training: a cubic, and blocks that are compared."""

from typing import Any

from book.experiments.running import run_all
from book.experiments.super_resolution_measures import counted, decibels, scenes, validation
from minattn.pictures.block_matching import block_matching, fetch
from minattn.pictures.resampling import blur
from minattn.tasks.stereo import StereoPairs

BLOCKS = (5, 7, 9, 11, 13, 15, 17, 21, 25)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

ARMS: dict[str, dict[str, Any]] = {"no training": {}}


def inside(disparity: Any, pairs: StereoPairs) -> float:
    """Return the share of pixels seen by both eyes whose disparity is found to within two columns."""
    right = (disparity - pairs.disparity).abs() <= 2
    return float(right[pairs.visible() & counted(pairs)].double().mean())


def by_blocks(pairs: StereoPairs, block: int, shares: tuple[float, ...]) -> dict[str, Any]:
    """Score the detail of the best blocks, all of it or a share."""
    blurred = blur(pairs.left)
    disparity = block_matching(blurred, pairs.right, block=block)
    detail = fetch(pairs.right - blur(pairs.right), disparity)
    found = {f"{share:g}": decibels(blurred + share * detail, pairs) for share in shares}
    return {"inside": inside(disparity, pairs), "shares": found}


def by_truth(pairs: StereoPairs) -> dict[str, float]:
    """Score the detail from where the true disparity says, and none where the right eye sees nothing."""
    known = pairs.visible()
    disparity = pairs.disparity.where(known, 0.0).round().long()
    detail = fetch(pairs.right - blur(pairs.right), disparity) * known
    return decibels(blur(pairs.left) + detail, pairs)


def run(seed: int) -> dict[str, Any]:
    """Choose block and share on the validation pairs, then score both on the others."""
    pairs = validation()
    grid = {block: by_blocks(pairs, block, SHARES) for block in BLOCKS}
    tried = {(b, s): grid[b]["shares"][f"{s:g}"]["all"] for b in BLOCKS for s in SHARES}
    block, share = max(tried, key=tried.__getitem__)
    found: dict[str, Any] = {"block": block, "share": share, "validation": grid}
    for name, pairs in scenes().items():
        found[name] = {
            "bicubic": decibels(blur(pairs.left), pairs),
            "blocks": by_blocks(pairs, block, (share,)),
            "truth": by_truth(pairs),
        }
    return found


def main() -> None:
    """Run it once: nothing in it is drawn at random."""
    run_all("super_resolution_blocks", ARMS, run, (0,))


if __name__ == "__main__":
    main()
