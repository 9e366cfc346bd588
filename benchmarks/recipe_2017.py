"""The paper's training of 2017, line by line on torch's ``nn.Transformer``, in the form that tutorials have.

Norm after every sum, the rate of section 5.3, Adam with its three numbers, dropout and smoothed labels of section
5.4, Xavier's start, one table to read and to write, batches of any lengths, and no clipping. One thing is torch's
and not the paper's: ``nn.Transformer`` has a last norm behind each stack, and drops also inside the feed-forward and
in the attention weights.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from minattn.positions import sinusoidal
from minattn.tasks import Task
from minattn.training import batches
from minattn.transformer import TransformerDecoder, TransformerEncoder, TransformerTranslator
from minattn.vocabulary import BOS, EOS, PAD

D_MODEL, N_HEADS, N_LAYERS, D_FF = 64, 4, 2, 128
BATCH_SIZE = 32
LONGEST = 64

Ids = list[int]
Optimizer = torch.optim.Optimizer
Scheduler = torch.optim.lr_scheduler.LRScheduler


class Paper(nn.Module):
    """Embeddings, positions, ``nn.Transformer``, and the readout."""

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        *,
        norm_first: bool = False,
        dropout: float = 0.1,
        tied: bool = True,
        xavier: bool = True,
    ) -> None:
        super().__init__()
        self.source_embedding = nn.Embedding(source_vocab_size, D_MODEL)
        self.target_embedding = nn.Embedding(target_vocab_size, D_MODEL)
        self.register_buffer("positions", sinusoidal(LONGEST, D_MODEL))
        self.dropout = nn.Dropout(dropout)
        sizes = D_MODEL, N_HEADS, N_LAYERS, N_LAYERS, D_FF, dropout
        with warnings.catch_warnings(action="ignore"):  # which shortcut torch won't take
            self.transformer = nn.Transformer(*sizes, batch_first=True, norm_first=norm_first)
        self.readout = nn.Linear(D_MODEL, target_vocab_size, bias=False)
        if xavier:
            for parameter in self.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        else:  # that of minattn
            for layer in self.modules():
                if isinstance(layer, nn.MultiheadAttention):
                    for part in layer.in_proj_weight.chunk(3):
                        nn.init.kaiming_uniform_(part, a=math.sqrt(5))
                elif isinstance(layer, nn.Linear):
                    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
                elif isinstance(layer, nn.Embedding):
                    nn.init.normal_(layer.weight, std=D_MODEL**-0.5)
        if tied:
            self.readout.weight = self.target_embedding.weight

    def embed(self, table: nn.Embedding, ids: Tensor) -> Tensor:
        """Turn tokens into vectors with their places."""
        x = table(ids) * math.sqrt(D_MODEL)
        return self.dropout(x + self.positions[: ids.shape[1]])

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return the logits of all places."""
        future = self.transformer.generate_square_subsequent_mask(target_in.shape[1])
        source_padding = torch.zeros(source.shape).masked_fill(source == PAD, -math.inf)
        target_padding = torch.zeros(target_in.shape).masked_fill(target_in == PAD, -math.inf)
        states = self.transformer(
            self.embed(self.source_embedding, source),
            self.embed(self.target_embedding, target_in),
            tgt_mask=future,
            src_key_padding_mask=source_padding,
            tgt_key_padding_mask=target_padding,
            memory_key_padding_mask=source_padding,
        )
        return self.readout(states)

    def to_minattn(self) -> TransformerTranslator:
        """Make a translator of minattn's with these weights, to write with."""
        ours = TransformerTranslator(
            self.source_embedding.num_embeddings,
            self.target_embedding.num_embeddings,
            d_model=D_MODEL,
            n_heads=N_HEADS,
            d_ff=D_FF,
            n_layers=N_LAYERS,
        )
        ours.encoder = TransformerEncoder.from_torch(self.transformer.encoder)
        ours.decoder = TransformerDecoder.from_torch(self.transformer.decoder)
        for name in ("source_embedding", "target_embedding", "readout"):
            getattr(ours, name).load_state_dict(getattr(self, name).state_dict())
        return ours.eval()


def collate(pairs: list[tuple[Ids, Ids]]) -> tuple[Tensor, Tensor]:
    """Pad a batch to its longest sentence."""
    sources = [torch.tensor([*source, EOS]) for source, _ in pairs]
    targets = [torch.tensor([BOS, *target, EOS]) for _, target in pairs]
    return (
        pad_sequence(sources, batch_first=True, padding_value=PAD),
        pad_sequence(targets, batch_first=True, padding_value=PAD),
    )


def encode(task: Task) -> list[tuple[Ids, Ids]]:
    """Turn the training examples into ids."""
    return [
        (task.source.encode(example.source), task.target.encode(example.target))
        for example in task.train
    ]


def loader(
    pairs: list[tuple[Ids, Ids]], by_length: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return batches, again and again."""
    if by_length:
        lengths = torch.tensor([len(source) + len(target) for source, target in pairs])
        for rows in batches(len(pairs), BATCH_SIZE, lengths):
            yield collate([pairs[row] for row in rows.tolist()])
    found = DataLoader(pairs, BATCH_SIZE, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    yield from itertools.chain.from_iterable(itertools.repeat(found))


def noam(warm_up: int = 4000) -> Callable[[int], float]:
    """Return the rate of the paper, equation 3, for the number of steps done."""
    return lambda step: D_MODEL**-0.5 * min((step + 1) ** -0.5, (step + 1) * warm_up**-1.5)


def prepare(
    model: nn.Module, rate: Callable[[int], float] | None = None, smoothing: float = 0.1
) -> tuple[Optimizer, Scheduler, nn.Module]:
    """Make what a step needs."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate or noam())
    return optimizer, scheduler, nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=smoothing)


def step(
    model: nn.Module,
    source: Tensor,
    target: Tensor,
    optimizer: Optimizer,
    scheduler: Scheduler,
    criterion: nn.Module,
    clip: float | None = None,
) -> float:
    """Change the weights once."""
    target_in, target_out = target[:, :-1], target[:, 1:]
    logits = model(source, target_in)
    loss = criterion(logits.reshape(-1, logits.shape[-1]), target_out.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    scheduler.step()
    return loss.item()


def train(
    task: Task,
    steps: int,
    *,
    rate: Callable[[int], float] | None = None,
    smoothing: float = 0.1,
    by_length: bool = False,
    clip: float | None = None,
    **settings: Any,
) -> Iterator[tuple[int, Paper]]:
    """Train a model, and hand it out after every step with the number of steps done."""
    model = Paper(len(task.source), len(task.target), **settings)
    needed = prepare(model, rate, smoothing)
    found = loader(encode(task), by_length)
    for done, (source, target) in enumerate(itertools.islice(found, steps), start=1):
        model.train()
        step(model, source, target, *needed, clip)
        yield done, model
