"""The drawings of the chapters. Each shows a whole, and can light one part of it, also small.

A function returns a :class:`~minattn.drawing.Drawing`, which a notebook shows when it is the value of a cell.
"""

from minattn.drawings.blocks import pre_and_post, transformer
from minattn.drawings.captions import captioner
from minattn.drawings.contrast import two_towers
from minattn.drawings.decoding import beams, greedy_frames, growing_cache
from minattn.drawings.gaps import both_sides
from minattn.drawings.heads import roles_in_a_list, split_and_merge, sum_of_heads
from minattn.drawings.language import decoder_alone, text_to_text
from minattn.drawings.lookup import queries_meet_keys
from minattn.drawings.painting import words_to_picture
from minattn.drawings.pieces import merging
from minattn.drawings.pointer import pointer_generator
from minattn.drawings.queries import object_queries
from minattn.drawings.recurrent import (
    alone_and_taught,
    before_and_after,
    encoder_decoder,
    soft_lookup,
)
from minattn.drawings.routing import where_and_what
from minattn.drawings.scaling import online_softmax, ring
from minattn.drawings.sound import listener
from minattn.drawings.training import training_step
from minattn.drawings.views import two_eyes

__all__ = [
    "alone_and_taught",
    "beams",
    "before_and_after",
    "both_sides",
    "captioner",
    "decoder_alone",
    "encoder_decoder",
    "greedy_frames",
    "growing_cache",
    "listener",
    "merging",
    "object_queries",
    "online_softmax",
    "pointer_generator",
    "pre_and_post",
    "queries_meet_keys",
    "ring",
    "roles_in_a_list",
    "soft_lookup",
    "split_and_merge",
    "sum_of_heads",
    "text_to_text",
    "training_step",
    "transformer",
    "two_eyes",
    "two_towers",
    "where_and_what",
    "words_to_picture",
]
