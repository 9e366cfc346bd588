"""Chapter 16: queries that name what they find, box it and mask it, among emoji that overlap."""

from book.experiments.object_queries_masks import (
    make_segmenting,
    masked,
    overlapping_test,
    teach,
)
from minattn.pictures.segments import SegmentingQueries


def build() -> SegmentingQueries:
    """Make it, untrained."""
    return make_segmenting(0)


def train(model: SegmentingQueries) -> dict[str, float]:
    """Train it as the experiment does, and return how well it masks."""
    teach(model, 0)
    scores = masked(model, overlapping_test())
    return {name: scores[name] for name in ("mask", "ink in found box", "AP50")}
