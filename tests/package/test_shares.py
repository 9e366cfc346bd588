import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.scaling.shares import owner, pairs, ring_bytes, shares, tiles

dealt = st.builds(
    shares, st.integers(0, 40), st.integers(1, 7), st.sampled_from(["plain", "zigzag"])
)


@given(dealt)
def test_every_position_is_in_one_share_and_ascends_there(split):
    assert torch.cat(split).sort().values.tolist() == list(range(sum(map(len, split))))
    for share in split:
        assert share.dtype == torch.int64
        assert (share.diff() > 0).all()


@given(st.integers(0, 40), st.integers(1, 7))
def test_plain_shares_are_stretches_of_nearly_one_length(length, world):
    split = shares(length, world)
    assert torch.equal(torch.cat(split), torch.arange(length))
    lengths = [len(share) for share in split]
    assert len(split) == world and max(lengths) - min(lengths) <= 1


@given(st.integers(0, 40), st.integers(1, 7))
def test_a_zigzag_share_is_one_early_piece_and_one_late_piece(length, world):
    split, pieces = shares(length, world, "zigzag"), shares(length, 2 * world)
    assert len(split) == world
    for rank, share in enumerate(split):
        assert torch.equal(share, torch.cat((pieces[rank], pieces[2 * world - 1 - rank])))


@given(dealt, st.booleans())
def test_tiles_hold_every_allowed_pair_once(split, causal):
    for mine in split:
        for theirs in split:
            seen = torch.zeros(len(mine), len(theirs), dtype=torch.int64)
            for rows, columns, allowed in tiles(mine, theirs, causal):
                tile = seen[rows, columns]
                assert tile.numel() > 0 and (allowed is None or 0 < allowed.sum() < tile.numel())
                tile += 1 if allowed is None else allowed
            expected = theirs <= mine[:, None] if causal else torch.ones_like(seen)
            assert torch.equal(seen, expected.to(torch.int64))


@pytest.mark.parametrize("world", [2, 3, 4, 8])
def test_by_hand_the_work_of_both_orders(world):
    piece = 5
    split = 2 * piece
    plain = pairs(shares(world * split, world), causal=True)
    zigzag = pairs(shares(world * split, world, "zigzag"), causal=True)
    for rank in range(world):
        for step in range(world):
            behind = owner(rank, step, world) > rank  # the keys come after these queries
            whole = split**2
            own = 3 * whole // 4
            assert plain[rank, step] == (own if step == 0 else 0 if behind else whole)
            assert zigzag[rank, step] == (own if step == 0 else whole // 2)
    # So plain waits for a whole block at each step but the first, zigzag for half of one.
    assert plain.amax(0).sum() == own + (world - 1) * whole
    assert zigzag.amax(0).sum() == own + (world - 1) * whole // 2


@given(dealt)
def test_all_pairs_are_computed_where_nothing_is_forbidden(split):
    length = sum(map(len, split))
    work = pairs(split, causal=False)
    assert work.sum() == length**2
    assert work.sum(1).tolist() == [len(share) * length for share in split]


@given(dealt, st.booleans())
def test_no_more_is_computed_with_a_causal_mask_and_all_that_it_allows(split, padding):
    length = sum(map(len, split))
    work = pairs(split, causal=True)
    assert (work <= pairs(split, causal=False)).all()
    assert work.sum() >= length * (length + 1) // 2


@given(st.integers(1, 12), st.integers(2, 7))
def test_zigzag_work_is_equal_where_the_pieces_are(piece, world):
    work = pairs(shares(2 * world * piece, world, "zigzag"), causal=True)
    assert len(set(work.sum(1).tolist())) == 1


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("padding", [False, True])
@given(split=dealt, size=st.sampled_from([2, 4, 8]))
def test_bytes_are_those_of_each_message(split, size, padding, backward):
    batch, heads, d_k, d_v, world = 2, 3, 5, 7, len(split)
    for rank, found in enumerate(
        ring_bytes(split, (batch, heads), d_k, d_v, size, padding, backward)
    ):
        expected = 0
        for step in range(world if world > 1 else 0):
            n = len(split[(rank - step) % world])
            if step < world - 1:
                there = batch * heads * n * (d_k + d_v) * size + (batch * n if padding else 0)
                expected += there * (2 if backward else 1)
            if backward:  # the gradients, in four bytes at least; the last time home
                expected += batch * heads * n * (d_k + d_v) * max(size, 4)
        assert found == expected


def test_without_leading_axes_there_is_one_row_of_padding():
    assert ring_bytes(shares(6, 2), (), 2, 3, 4, padding=True) == [3 * (5 * 4 + 1)] * 2


@pytest.mark.rejects
def test_what_cannot_be_dealt_out_is_an_error():
    with pytest.raises(ValueError, match="length must be at least 0, got -1"):
        shares(-1, 2)
    with pytest.raises(ValueError, match="world must be at least 1, got 0"):
        shares(8, 0)
    with pytest.raises(ValueError, match="order must be one of plain, zigzag, got 'striped'"):
        shares(8, 2, "striped")


@pytest.mark.rejects
@pytest.mark.parametrize("function", [pairs, lambda x, _: ring_bytes(x, (1, 1), 1, 1, 4)])
def test_shares_with_a_gap_are_an_error(function):
    for wrong in ([[0, 1], [3]], [[0, 1], [1, 2]], [[1], [2]]):
        with pytest.raises(ValueError, match=r"every position from 0 on exactly once, got \[\["):
            function([torch.tensor(x) for x in wrong], True)
    with pytest.raises(ValueError, match="the number of shares must be at least 1, got 0"):
        function([], True)
    with pytest.raises(TypeError, match=r"share 1 must be of dtype torch\.int64, got torch\.int32"):
        function([torch.arange(2), torch.tensor([2, 3], dtype=torch.int32)], True)
    with pytest.raises(TypeError, match="share 0 must be a tensor, got list"):
        function([[0, 1]], True)


@pytest.mark.rejects
def test_sizes_below_one_are_an_error():
    for name in ("d_k", "d_v", "bytes_per_number"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            ring_bytes(shares(4, 2), (1, 1), **{"d_k": 1, "d_v": 1, "bytes_per_number": 4, name: 0})
    with pytest.raises(ValueError, match=r"batch_and_heads\[1\] must be at least 0, got -1"):
        ring_bytes(shares(4, 2), (1, -1), 1, 1, 4)
