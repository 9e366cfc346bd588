"""One training step of a Transformer on many GPUs, on paper: operations, bytes sent, memory, and the time they take.

A multiplication and an addition each count as one operation, as in ``minattn.scaling.costs``. Bytes are those that one
GPU sends; it receives as many. Every assumption is a field with a name, and a field without a default has to be said.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from minattn.checks import check_not_negative, check_positive, check_shares, check_sizes

Sharded = Literal["nothing", "adam", "gradients", "weights"]


@dataclass(frozen=True)
class ModelSizes:
    """The sizes of a Transformer that are worth counting.

    Args:
        d_model: width of a token vector.
        n_layers: how many blocks.
        d_ff: inner width of the feed-forward layer, of two matrices.
        vocab_size: how many tokens there are; one table both reads and writes them.

    Raises:
        ValueError: if a size is below 1.

    >>> ModelSizes(d_model=4096, n_layers=32, d_ff=16384, vocab_size=50_000).parameters
    6647250944
    """

    d_model: int
    n_layers: int
    d_ff: int
    vocab_size: int

    def __post_init__(self) -> None:
        check_sizes(**vars(self))

    @property
    def parameters(self) -> int:
        """Numbers in the four matrices of each attention, the two of each feed-forward layer, and the table of tokens.

        Left out are biases, norms and positions.
        """
        block = 4 * self.d_model**2 + 2 * self.d_model * self.d_ff
        return self.n_layers * block + self.vocab_size * self.d_model


@dataclass(frozen=True)
class NumberBytes:
    """Bytes of one number of each kind; the defaults are those of training in mixed precision.

    Args:
        weight: of a weight, as it is computed with and sent.
        gradient: of the gradient of a weight, as it is kept and sent.
        adam: of all that Adam keeps for a weight: a copy in float32, and two moments.
        activation: of a number that goes from layer to layer; keys and values are such.
        summed: of a gradient that is added up on its way round a ring.

    Raises:
        ValueError: if a number is below 1.
    """

    weight: int = 2
    gradient: int = 2
    adam: int = 12
    activation: int = 2
    summed: int = 4

    def __post_init__(self) -> None:
        check_sizes(**vars(self))


MIXED = NumberBytes()
"""Mixed precision: 16 bytes a parameter in all."""


@dataclass(frozen=True)
class Machines:
    """How fast the GPUs are, and what joins them.

    Args:
        peak: operations a second of one GPU, as its maker says, in the type that is computed in.
        reached: share of them that is reached in practice, above 0.
        within: bytes a second that a GPU can send to another in its host.
        between: bytes a second that a GPU can send to one in another host.
        host: how many GPUs a host has.

    Raises:
        ValueError: if a speed is not above 0, the share is not in (0, 1], or a host has no GPU.
    """

    peak: float | int
    reached: float | int
    within: float | int
    between: float | int
    host: int = 8

    def __post_init__(self) -> None:
        check_positive(
            peak=self.peak, reached=self.reached, within=self.within, between=self.between
        )
        check_shares(reached=self.reached)
        check_sizes(host=self.host)

    def seconds(self, operations: float | int) -> float:
        """Return how long one GPU computes.

        >>> Machines(peak=1e15, reached=0.4, within=4e11, between=5e10).seconds(8e14)
        2.0
        """
        check_not_negative(operations=operations)
        return operations / (self.peak * self.reached)

    def bandwidth(self, gpus: int) -> float:
        """Return the bytes a second of a ring of so many GPUs: those of its slowest link."""
        check_sizes(gpus=gpus)
        return float(self.within if gpus <= self.host else min(self.within, self.between))


def step_operations(sizes: ModelSizes, tokens: int, length: int) -> int:
    r"""Count the operations of one training step for some tokens.

    .. math:: 6\,N \quad\text{and}\quad 12\, L\, d\, n \quad\text{for each token}

    A product with N weights takes 2 N operations there, and twice that back. Scores and mixtures take 2 d for each key
    and layer, each, there, and twice that back. All n keys are counted, also those that a causal mask forbids;
    left out are softmax, norms and whatever is computed again on the way back.

    Args:
        sizes: of the model.
        tokens: how many this GPU computes.
        length: n, how many keys a query meets.

    Raises:
        ValueError: if a number is below 1.

    References:
        Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B.

    >>> step_operations(ModelSizes(d_model=2, n_layers=3, d_ff=5, vocab_size=7), tokens=1, length=11)
    1524
    """
    check_sizes(tokens=tokens, length=length)
    attention = 12 * sizes.n_layers * sizes.d_model * length
    return tokens * (6 * sizes.parameters + attention)


def all_reduce_bytes(size: float | int, gpus: int) -> float:
    r"""Count what each GPU sends so that all have the sum of what they had: :math:`2 (P - 1) / P` of its size.

    Round a ring, P - 1 steps bring each GPU the sum of its own part, and P - 1 more bring every part to everybody.

    Args:
        size: bytes of what is summed.
        gpus: P.

    Raises:
        ValueError: if the size is below 0, or there is no GPU.

    References:
        Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms for clusters of workstations, J. Parallel
        Distrib. Comput. 69(2).

    >>> all_reduce_bytes(100, 4)
    150.0
    """
    check_not_negative(size=size)
    check_sizes(gpus=gpus)
    return 2 * (gpus - 1) * size / gpus


def data_parallel_bytes(sizes: ModelSizes, gpus: int, number: NumberBytes = MIXED) -> float:
    """Count what each GPU sends in a step if each has the whole model: the gradients are summed over all.

    Args:
        sizes: of the model.
        gpus: how many; the number of their tokens does not matter.
        number: bytes of a number.

    Raises:
        ValueError: if there is no GPU.

    >>> data_parallel_bytes(ModelSizes(d_model=2, n_layers=3, d_ff=5, vocab_size=7), gpus=4)
    366.0
    """
    return all_reduce_bytes(sizes.parameters * number.gradient, gpus)


def fully_sharded_bytes(sizes: ModelSizes, gpus: int, number: NumberBytes = MIXED) -> float:
    r"""Count what each GPU sends in a step if each keeps a part of all weights: three times :math:`(P - 1) / P`.

    The weights are collected for the way there and again for the way back; the gradients are summed, each part for the
    GPU that keeps it.

    Args:
        sizes: of the model.
        gpus: P.
        number: bytes of a number.

    Raises:
        ValueError: if there is no GPU.

    References:
        Rajbhandari et al. 2020 (ZeRO), arXiv:1910.02054, section 7.

    >>> fully_sharded_bytes(ModelSizes(d_model=2, n_layers=3, d_ff=5, vocab_size=7), gpus=4)
    549.0
    """
    check_sizes(gpus=gpus)
    return (gpus - 1) * sizes.parameters * (2 * number.weight + number.gradient) / gpus


def tensor_parallel_bytes(
    sizes: ModelSizes, tokens: int, gpus: int, number: NumberBytes = MIXED
) -> float:
    """Count what each GPU sends in a step if each has a part of every matrix: four sums of activations a block.

    After attention and after the feed-forward layer the vectors of all tokens are summed over the GPUs, and so are
    their gradients on the way back.

    Args:
        sizes: of the model.
        tokens: how many the GPUs compute together.
        gpus: how many share each matrix.
        number: bytes of a number.

    Raises:
        ValueError: if there is no token or no GPU.

    References:
        Shoeybi et al. 2019 (Megatron-LM), arXiv:1909.08053, section 3.

    >>> tensor_parallel_bytes(ModelSizes(d_model=2, n_layers=3, d_ff=5, vocab_size=7), tokens=1, gpus=2)
    48.0
    """
    check_sizes(tokens=tokens)
    vectors = tokens * sizes.d_model * number.activation
    return 4 * sizes.n_layers * all_reduce_bytes(vectors, gpus)


def ring_attention_bytes(
    sizes: ModelSizes, tokens: int, gpus: int, number: NumberBytes = MIXED
) -> int:
    """Count what each GPU sends in a step if each holds a share of the sequence and keys go round.

    In each layer keys and values go P - 1 steps, there and again back; their gradients go P steps. This is the sum of
    ``ring_bytes`` over the layers, for shares of one length. The weights are whole on every GPU, so what
    ``data_parallel_bytes`` counts comes on top.

    Args:
        sizes: of the model; each head has its own keys and values.
        tokens: how many each GPU holds.
        gpus: P.
        number: bytes of a number.

    Raises:
        ValueError: if there is no token or no GPU.

    References:
        Liu et al. 2023 (Ring Attention), arXiv:2310.01889; Brandon et al. 2023 (Striped Attention),
        arXiv:2311.09431, send the same.

    >>> ring_attention_bytes(ModelSizes(d_model=2, n_layers=3, d_ff=5, vocab_size=7), tokens=1, gpus=2)
    144
    """
    check_sizes(tokens=tokens, gpus=gpus)
    if gpus == 1:
        return 0
    keys_and_values = 2 * tokens * sizes.d_model
    steps = 2 * (gpus - 1) * number.activation + gpus * number.summed
    return sizes.n_layers * keys_and_values * steps


@dataclass(frozen=True)
class KeptBytes:
    """Bytes that one GPU keeps for a model.

    Args:
        weights: of the weights.
        gradients: of their gradients.
        adam: of what Adam keeps for them.
    """

    weights: float | int
    gradients: float | int
    adam: float | int

    @property
    def total(self) -> float | int:
        """All three."""
        return self.weights + self.gradients + self.adam


def memory(
    sizes: ModelSizes, gpus: int, sharded: Sharded = "nothing", number: NumberBytes = MIXED
) -> KeptBytes:
    """Count the bytes that each GPU keeps for weights, gradients and Adam; activations come on top.

    Args:
        sizes: of the model.
        gpus: how many share what is shared.
        sharded: what is shared: "nothing"; what "adam" keeps; "gradients" as well; "weights" as well.
        number: bytes of a number.

    Raises:
        ValueError: if there is no GPU, or ``sharded`` is not one of these.

    References:
        Rajbhandari et al. 2020 (ZeRO), arXiv:1910.02054, sections 3.1 and 5, where the last three are called stages.

    >>> sizes = ModelSizes(d_model=2, n_layers=3, d_ff=5, vocab_size=7)
    >>> memory(sizes, gpus=4).total / sizes.parameters, memory(sizes, 4, "weights").total / sizes.parameters
    (16.0, 4.0)
    """
    check_sizes(gpus=gpus)
    kinds = get_args(Sharded)
    if sharded not in kinds:
        raise ValueError(f"sharded must be one of {', '.join(kinds)}, got {sharded!r}")
    stage = kinds.index(sharded)

    def kept(bytes_per_number: int, from_stage: int) -> float:
        return sizes.parameters * bytes_per_number / (gpus if stage >= from_stage else 1)

    return KeptBytes(kept(number.weight, 3), kept(number.gradient, 2), kept(number.adam, 1))


def share(
    compute: float | int, bytes: float | int, bandwidth: float | int, overlap: float | int
) -> float:
    """Return the share of a step's time in which a GPU computes.

    Args:
        compute: seconds that it computes.
        bytes: how many it sends.
        bandwidth: bytes a second.
        overlap: share of the sending, in [0, 1], that can go on while it computes, as long as there is something to
            compute. It waits for the rest.

    Raises:
        ValueError: if a number is below 0, no time is needed to compute, or the overlap is not in [0, 1].

    >>> share(compute=3.0, bytes=10, bandwidth=10, overlap=0.0), share(3.0, 10, 10, overlap=1.0)
    (0.75, 1.0)
    """
    check_positive(compute=compute, bandwidth=bandwidth)
    check_not_negative(bytes=bytes)
    check_shares(overlap=overlap)
    sending = bytes / bandwidth
    waiting = sending - min(overlap * sending, compute)
    return compute / (compute + waiting)
