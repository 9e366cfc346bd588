import math

import torch

from minattn.positions import rotary, sinusoidal

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def rotate_complex(x, base=10000.0):
    seq, d = x.shape
    angles = torch.outer(torch.arange(seq), base ** (-torch.arange(0, d, 2) / d))
    pairs = torch.view_as_complex(x.reshape(seq, d // 2, 2))
    turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles))
    return turned.flatten(1)


def rotate_matrices(x, base=10000.0):
    out = torch.empty_like(x, dtype=torch.float64)
    for t in range(x.shape[0]):
        for i in range(x.shape[1] // 2):
            phi = t / base ** (2 * i / x.shape[1])
            c, s = math.cos(phi), math.sin(phi)
            turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
            out[t, 2 * i : 2 * i + 2] = turn @ x[t, 2 * i : 2 * i + 2].double()
    return out


def rotate_quarter(x, base=10000.0):
    angles = torch.arange(len(x))[:, None] / base ** (torch.arange(0, x.shape[1], 2) / x.shape[1])
    angles = angles.repeat_interleave(2, dim=1)
    quarter = torch.empty_like(x)
    quarter[:, 0::2], quarter[:, 1::2] = -x[:, 1::2], x[:, 0::2]
    return x * angles.cos() + quarter * angles.sin()


OTHER_WAYS = [rotate_complex, rotate_matrices, rotate_quarter, lambda x, b: rotary(x, base=b)]


# Wrong ways, written as a learner writes them.


def rotary_angles(x, base):
    return torch.arange(len(x))[:, None] / base ** (torch.arange(0, x.shape[1], 2) / x.shape[1])


def rotate_half(x, base=10000.0):
    angles = torch.cat([rotary_angles(x, base)] * 2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def rotate_half_of_neighbours(x, base=10000.0):
    angles = rotary_angles(x, base).repeat_interleave(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def rotate_in_place(x, base=10000.0):
    out, angles = x.clone(), rotary_angles(x, base)
    even, odd = out[:, 0::2], out[:, 1::2]
    out[:, 0::2] = even * angles.cos() - odd * angles.sin()
    out[:, 1::2] = even * angles.sin() + odd * angles.cos()
    return out


def rotate_complex_halves(x, base=10000.0):
    pairs = torch.complex(*x.chunk(2, dim=1)) * torch.exp(1j * rotary_angles(x, base))
    return torch.view_as_real(pairs).flatten(1)


def rotate_stacked(x, base=10000.0):
    even, odd = x[:, 0::2], x[:, 1::2]
    cos, sin = rotary_angles(x, base).cos(), rotary_angles(x, base).sin()
    turned = [even * cos - odd * sin, even * sin + odd * cos]
    return torch.stack(turned, dim=1).flatten(1)


def rotate_timescales(x, base=10000.0):
    """Take the frequencies of another program, which divides by d/2 - 1."""
    half = x.shape[1] // 2
    angles = torch.arange(len(x))[:, None] * base ** (-torch.arange(half) / (half - 1))
    turned = torch.view_as_complex(x.unflatten(1, (half, 2))) * torch.polar(
        torch.ones_like(angles), angles
    )
    return torch.view_as_real(turned).flatten(1)


NEAR_MISSES = [
    ("exponent_reaches_one", rotate_timescales),
    ("halves_paired", rotate_half),
    ("two_layouts", rotate_half_of_neighbours),
    ("overwritten", rotate_in_place),
    ("not_put_back", rotate_complex_halves),
    ("not_put_back", rotate_stacked),
    ("added", lambda x, base: x + sinusoidal(*x.shape, base=base)),
    ("multiplied_only", lambda x, base: x * sinusoidal(*x.shape, base=base)),
    ("backwards", lambda x, base: rotary(x.flip(0), start=1 - len(x), base=base).flip(0)),
    ("from_one", lambda x, base: rotary(x, start=1, base=base)),
]
