import re

import pytest

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_8_whole_transformer import EXERCISE
from tests.exercises.transformer.edited import edited

WHERE = [
    (
        [("    memory = model.encoder.norm(x)", "    return model.encoder.norm(x)")],
        "Every piece that you called was given the right thing. The last one was the last norm of the "
        "encoder; next would be the target embedding.",
    ),
    (
        [("norm(y))", "norm(y)) / 2")],
        "Every piece was given the right thing, the readout too. Look at what you return.",
    ),
    (
        [("    tokens", "    return 1\n    tokens")],
        "None of the pieces of the model was called.",
    ),
    (
        [(" * model.embedding_scale", " * 2")],
        "First difference: the positions of the source.\n"
        "It should be given the result of the source embedding times embedding_scale. "
        "You gave 0.7071 times that.",
    ),
    (
        [(" * model.embedding_scale", " * 1.01 * model.embedding_scale")],
        "First difference: the positions of the source.\n"
        "It should be given the result of the source embedding times embedding_scale. "
        "You gave 1.01 times that.",
    ),
    (
        [("model.encoder.norm(x)", "x")],
        "First difference: the cross-attention of decoder block 1.\n"
        "Its key should be the result of the last norm of the encoder. You gave the sum after the "
        "feed-forward of encoder block 1. The last norm of the encoder was not called.",
    ),
    (
        [("y = y + block.feed_forward(h)", "y = h + block.feed_forward(y)")],
        "First difference: the feed-forward of decoder block 1.\n"
        "It should be given the result of the norm before the feed-forward of decoder block 1. You gave "
        "the sum after the cross-attention of decoder block 1.",
    ),
    (
        [("x = x + block.feed_forward(h)", "x = x + block.feed_forward(h).abs()")],
        "First difference: the last norm of the encoder.\n"
        "It should be given the sum after the feed-forward of encoder block 1. You gave something else: "
        "at [0, 0, 0] stands NUMBER where NUMBER should be.",
    ),
    (
        [("target_embedding(target_in)", "target_embedding(source)")],
        "First difference: the target embedding.\n"
        "It should be given the ids of the target. You gave the ids of the source.",
    ),
    (
        [("source != PAD", "source != 2")],
        "First difference: the self-attention of encoder block 1.\n"
        "Its mask should hide the padding of the source. In row 0, position 0 may look at [0, 1, 2]; "
        "yours lets it look at [0, 1].",
    ),
    (
        [("h, h, h, Causal()", "h, h, h")],
        "First difference: the self-attention of decoder block 1.\n"
        "Its mask should hide what comes later. Yours hides nothing.",
    ),
    (
        [("source != PAD", "source == PAD")],
        "First difference: the self-attention of encoder block 1.\n"
        "Its mask should hide the padding of the source. Yours hides everything else: True means that "
        "one may look.",
    ),
    (
        [("Padding(source != PAD)", "'padding'")],
        "First difference: the self-attention of encoder block 1.\n"
        "Its mask should hide the padding of the source. Yours, something of type str, could not be "
        "used.\nThen your code stopped: TEXT",
    ),
    (
        [("model.positions(x)", "model.positions(x)[0]")],
        "First difference: the norm before the self-attention of encoder block 1.\n"
        "It should be given the result of the positions of the source. You gave something of shape "
        "(3, 8), where the shape should be (2, 3, 8).\nThen your code stopped: TEXT",
    ),
    (
        [
            (
                "x = x + block.self_attention(h, h, h, tokens)",
                "x = x + 2 * block.self_attention(h, h, h)",
            )
        ],
        "First difference: the norm before the feed-forward of encoder block 1.\n"
        "It should be given the sum after the self-attention of encoder block 1. You gave something "
        "else: at [0, 0, 0] stands NUMBER where NUMBER should be.",
    ),
    (
        [("model.readout(", "model.readout(2 * y) + model.readout(")],
        "First difference: the readout.\n"
        "It should be given the result of the last norm of the decoder. You gave something else: at "
        "[0, 0, 0] stands NUMBER where NUMBER should be. The last norm of the decoder was not called.",
    ),
    (
        [("    return model.readout(", "    return model.readout(x[:, :1]) + model.readout(")],
        "First difference: the readout.\n"
        "It should be given the result of the last norm of the decoder. You gave something of shape "
        "(2, 1, 8), where the shape should be (2, 5, 8). The last norm of the decoder was not called.",
    ),
    (
        [("model.readout(model.decoder.norm(y))", "model.decoder.norm(model.decoder.norm(y))")],
        "First difference: the last norm of the decoder, called once more.\n"
        "It should be given the sum after the feed-forward of decoder block 1. You gave the result of "
        "the last norm of the decoder.",
    ),
]


@pytest.mark.parametrize(("changes", "where"), WHERE)
def test_the_first_difference_is_told(changes, where, unchecked):
    pattern = re.escape(where).replace("NUMBER", r"-?[\d.]+").replace("TEXT", r"[A-Z]\w+: .*")
    got = judge(EXERCISE, edited(*changes)).where
    assert re.fullmatch(pattern, got), got


LATE = ("        y = y + block.feed", "        memory = 3 * memory\n        y = y + block.feed")


def test_what_is_first_in_the_second_block_is_told():
    assert judge(EXERCISE, edited(LATE)).where == (
        "First difference: the cross-attention of decoder block 2.\n"
        "Its key should be the result of the last norm of the encoder. You gave 3 times that."
    )


def test_what_the_padding_of_the_source_holds_is_no_difference():
    """A mask may hide everything from padding; only another fault is told."""
    answer = edited(
        ("h, h, h, tokens", "h, h, h, (source != PAD)[:, None] & (source != PAD)[..., None]"),
        LATE,
    )
    assert "the cross-attention of decoder block 2" in judge(EXERCISE, answer).where
