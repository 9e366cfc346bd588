"""Training steps of the models of chapters 1 and 2, against the loop over time that tutorials write."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import Case, Effort, Goal, assert_equal, compare
from book.experiments.timeline import make_model
from minattn.tasks import number_words
from minattn.tasks.base import Task
from minattn.training import batches, seeded, token_loss
from minattn.vocabulary import PAD, Batch

D_MODEL = 64
N_BATCHES = 2  # in one sample, for they differ in length
LOOP, CELLS, FLOOR = "loop", "loop over cells", "recurrence alone"


class AdditiveScores(nn.Module):
    """Score one query against all keys, from scratch at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(D_MODEL, D_MODEL, bias=False)
        self.k_proj = nn.Linear(D_MODEL, D_MODEL)
        self.v = nn.Parameter(torch.empty(D_MODEL))

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Take (batch, 1, d) and (batch, keys, d); return (batch, 1, keys)."""
        return (torch.tanh(self.q_proj(query) + self.k_proj(keys)) @ self.v).unsqueeze(1)


class MultiplicativeScores(nn.Module):
    """The same with a product in place of the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj = nn.Linear(D_MODEL, D_MODEL, bias=False)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Take (batch, 1, d) and (batch, keys, d); return (batch, 1, keys)."""
        return torch.bmm(query, self.k_proj(keys).transpose(1, 2)) / 8.0


class CellEncoder(nn.Module):
    """A recurrent encoder of cells: one call for every token of every direction."""

    def __init__(self, vocab_size: int, bidirectional: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, D_MODEL)
        d = D_MODEL // 2 if bidirectional else D_MODEL
        self.cells = nn.ModuleList(nn.GRUCell(D_MODEL, d) for _ in range(1 + bidirectional))

    def forward(self, source: Tensor) -> Tensor:
        """Return a state for every position, (batch, source, d_model)."""
        tokens = self.embedding(source).unbind(1)
        inside = (source != PAD)[..., None].unbind(1)
        directions = []
        for cell, backwards in zip(self.cells, (False, True), strict=False):
            state = tokens[0].new_zeros(len(source), cell.hidden_size)
            states = []
            places = range(len(tokens))
            for place in reversed(places) if backwards else places:
                after = cell(tokens[place], state)
                # A row starts at its own end when it is read backwards.
                state = torch.where(inside[place], after, state) if backwards else after
                states.append(state)
            directions.append(torch.stack(states[::-1] if backwards else states, dim=1))
        return torch.cat(directions, dim=-1)


class PackedEncoder(nn.Module):
    """A recurrent encoder in one call of torch; two directions need the batch packed."""

    def __init__(self, vocab_size: int, bidirectional: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, D_MODEL)
        d = D_MODEL // 2 if bidirectional else D_MODEL
        self.gru = nn.GRU(D_MODEL, d, batch_first=True, bidirectional=bidirectional)

    def forward(self, source: Tensor) -> Tensor:
        """Return a state for every position, (batch, source, d_model)."""
        embedded = self.embedding(source)
        if not self.gru.bidirectional:
            return self.gru(embedded)[0]
        lengths = (source != PAD).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            embedded, lengths, batch_first=True, enforce_sorted=False
        )
        return nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0]


class Loop(nn.Module):
    """The translator as tutorials write it: everything of the decoder happens within a loop over the target.

    Args:
        task: whose vocabularies to use.
        scores: how to score; without it, the context is the final state of the encoder.
        before: whether the context enters the recurrence.
        bidirectional: whether the encoder reads in both directions.
        cells: whether the encoder is a loop too, and every step a ``GRUCell``.
    """

    def __init__(
        self,
        task: Task,
        scores: nn.Module | None,
        before: bool,
        bidirectional: bool,
        cells: bool,
    ) -> None:
        super().__init__()
        self.encoder = (CellEncoder if cells else PackedEncoder)(len(task.source), bidirectional)
        self.attend = scores
        self.before = before
        self.bidirectional = bidirectional
        self.embedding = nn.Embedding(len(task.target), D_MODEL)
        self.bridge = nn.Linear(D_MODEL, D_MODEL)
        d_in = 2 * D_MODEL if before else D_MODEL
        self.gru = nn.GRUCell(d_in, D_MODEL) if cells else nn.GRU(d_in, D_MODEL, batch_first=True)
        self.combine = nn.Linear(2 * D_MODEL, D_MODEL)
        self.out_proj = nn.Linear(D_MODEL, len(task.target))

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return log probabilities of every next token."""
        states, mask = self.encoder(source), source != PAD
        rows, last = torch.arange(len(source)), mask.sum(1) - 1
        summary = states[rows, last]
        if self.bidirectional:
            half = D_MODEL // 2
            summary = torch.cat([summary[:, :half], states[:, 0, half:]], dim=-1)
        summary = summary[:, None]
        hidden = torch.tanh(self.bridge(summary))
        outputs = []
        for t in range(target_in.shape[1]):
            token = self.embedding(target_in[:, t : t + 1])
            if self.before:
                context = self.context(hidden, states, mask, summary)
                hidden = self.step(torch.cat([token, context], dim=-1), hidden)
            else:
                hidden = self.step(token, hidden)
                context = self.context(hidden, states, mask, summary)
            combined = torch.tanh(self.combine(torch.cat([hidden, context], dim=-1)))
            outputs.append(self.out_proj(combined))
        return F.log_softmax(torch.cat(outputs, dim=1), dim=-1)

    def context(self, query: Tensor, states: Tensor, mask: Tensor, summary: Tensor) -> Tensor:
        """Mix the encoder's states for one query."""
        if self.attend is None:
            return summary
        scores = self.attend(query, states).masked_fill(~mask[:, None], -torch.inf)
        return torch.bmm(F.softmax(scores, dim=-1), states)

    def step(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Take one step of the recurrence; all have the shape (batch, 1, d)."""
        if isinstance(self.gru, nn.GRUCell):
            return self.gru(x[:, 0], hidden[:, 0])[:, None]
        return self.gru(x, hidden.transpose(0, 1))[1].transpose(0, 1)


MODELS: dict[str, dict[str, Any]] = {
    "fixed vector": {"scores": lambda: None, "before": True, "bidirectional": False},
    "additive attention": {"scores": AdditiveScores, "before": True, "bidirectional": True},
    "multiplicative attention": {
        "scores": MultiplicativeScores,
        "before": False,
        "bidirectional": True,
    },
}


def loop(ours: nn.Module, task: Task, name: str, cells: bool) -> Loop:
    """Make the loop for a model, with the weights of ours."""
    settings = MODELS[name]
    theirs = Loop(task, settings["scores"](), settings["before"], settings["bidirectional"], cells)
    weights = ours.state_dict()
    if cells:
        weights = {_in_cells(key): tensor for key, tensor in weights.items()}
    theirs.load_state_dict(weights)
    return theirs


def _in_cells(key: str) -> str:
    key = key.replace("encoder.gru", "encoder.cells.1" if "_reverse" in key else "encoder.cells.0")
    return key.replace("_l0", "").replace("_reverse", "")


class Training:
    """Training steps of a copy of a model, over the same batches again and again."""

    def __init__(self, model: nn.Module, data: list[Batch]) -> None:
        self.model = copy.deepcopy(model)
        self.data = data
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=5e-3)

    def losses(self) -> list[Tensor]:
        """Take one step for each batch; return the losses."""
        return [self.step(batch) for batch in self.data]

    def step(self, batch: Batch) -> Tensor:
        """Take one step: forwards, loss, backwards, clip, Adam."""
        out = self.model(batch.source, batch.target_in)
        if isinstance(self.model, Loop):
            loss = F.nll_loss(out.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
        else:
            loss = token_loss(out, batch.target_out)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach()


def recurrence(model: Loop, data: list[Batch]) -> Callable[[], None]:
    """Return the least that every step needs: torch's recurrent layers, there and back, each in one call."""
    layers = model.encoder.gru, model.gru
    inputs = [
        torch.randn(*ids.shape, layer.input_size, requires_grad=True)
        for batch in data
        for layer, ids in zip(layers, (batch.source, batch.target_in), strict=True)
    ]

    def run() -> None:
        for layer, x in zip(layers * len(data), inputs, strict=True):
            layer(x)[0].sum().backward()

    return run


def same(models: dict[str, nn.Module], data: list[Batch]) -> float:
    """Assert that probabilities, losses and gradients are the same; return the largest difference."""
    found = {}
    for name, model in models.items():
        training = Training(model, data[:1])
        training.model.double()
        out = training.model(data[0].source, data[0].target_in)
        losses = training.losses()
        gradients = {_in_cells(key): p.grad for key, p in training.model.named_parameters()}
        ordered = [gradients[key] for key in sorted(gradients)]
        found[name] = [out.log_softmax(-1), *losses, *ordered]
    return assert_equal(found, "minattn", 1e-10)


def measure(effort: Effort) -> list[Case]:
    """Compare every model at the book's batch size and at twice that, with one thread and with two."""
    task = number_words()
    everything = task.batch(task.train[:1000])
    cases = []
    for name in MODELS:
        with seeded(0):
            ours = make_model(task, name)
        models = {
            "minattn": ours,
            LOOP: loop(ours, task, name, cells=False),
            CELLS: loop(ours, task, name, cells=True),
        }
        for batch_size, threads in [(32, 1)] if effort.quick else [(32, 1), (64, 1), (64, 2)]:
            order = batches(len(everything), batch_size, generator=torch.Generator().manual_seed(0))
            data = [everything.select(next(order)) for _ in range(N_BATCHES)]
            calls = {key: Training(model, data).losses for key, model in models.items()}
            case = compare(
                {**calls, FLOOR: recurrence(copy.deepcopy(models[LOOP]), data)},
                reference="minattn",
                settings={"model": name, "batch": batch_size, "threads": threads},
                effort=effort,
                equal=partial(same, models, data),
                goals=[Goal(LOOP, at_least=3)] if name == "multiplicative attention" else [],
                threads=threads,
            )
            case.more = {key: {"steps per second": N_BATCHES / case.seconds[key]} for key in models}
            cases.append(case)
    return cases
