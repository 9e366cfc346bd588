"""Training the running task: seconds for a step, steps to 99 % of the numbers, and where a factor comes from.

Times are taken side by side, by ``compare``. Numbers of steps are counted apart from that, in two processes with
one thread each, and do not depend on the clock: seconds to 99 % are steps times the seconds of a step.
"""

import logging
import math
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any

import recipe_2017
import torch
import torch._inductor.config
import torch.nn.functional as F
from torch import Tensor, nn
from x_transformers import XTransformer

from benchmarks.harness import Case, Effort, Goal, assert_equal, compare, report
from benchmarks.recipe_2017 import BATCH_SIZE, D_FF, D_MODEL, LONGEST, N_HEADS, N_LAYERS
from minattn.claims import results
from minattn.decoding import Cached
from minattn.positions import LearnedPositions, sinusoidal
from minattn.recipe import Recipe, _order, _update, train
from minattn.schedules import Noam, OneCycle
from minattn.tasks import Task, number_words
from minattn.training import evaluate, mean_accuracy, seeded
from minattn.transformer import TransformerTranslator
from minattn.translation import Memory, State, Translator
from minattn.vocabulary import PAD, Batch, token_mask

RIGHT = 0.99
SEEDS = (0, 1, 2, 3, 4)
FEW_SEEDS = (0, 1, 2)
TOTALS = (300, 400, 500, 600, 700, 800, 1000, 1200, 1500, 2000)
"""How many steps are tried; a rate that falls must know its number of steps beforehand."""
FIRST_TOTAL = 600
FIRST_TOTAL_OF_THEIRS = 800
CAP_2017 = 4000
"""So long is the warm-up of 2017; who is not there by then is not trained any longer."""
EARLY = 1000
"""Steps after which one change to the recipe of 2017 is looked at."""
N_BATCHES = 4
"""As many as are sorted by length together."""

REFERENCE = "minattn"
TORCH, THEIRS, PAPER = "nn.Transformer", "x-transformers", "nn.Transformer as in 2017"


@dataclass(frozen=True)
class Effect:
    """One change, what we thought that it does before it was measured, and why."""

    change: str
    predicted: str
    because: str


# Written down before anything below was measured, and left as they were.
ON_A_STEP = (
    Effect("a plain loop", "0.97", "`train` checks ids and counts tokens, a few small operations"),
    Effect("Adam fused", "0.90", "91 tensors, one after the other, become one operation"),
    Effect("Adam foreach", "0.95", "fewer calls, but still several passes"),
    Effect("no clipping", "0.96", "one norm for each of 91 tensors falls away"),
    Effect("batches of any lengths", "1.33", "chapter 6: three quarters of the time by length"),
    Effect("dropout 0.1", "1.10", "twelve draws of random numbers, and as many in the way back"),
    Effect("norm after the sum", "1.00", "the same operations in another order, two norms fewer"),
    Effect("one table", "1.00", "2,240 of 174,656 parameters fewer"),
    Effect("labels smoothed", "1.02", "one more mean over 35 logits"),
    Effect("two threads", "0.95", "matrices of 64 columns are too small to share"),
    Effect("torch.compile", "0.70", "most of a step is the cost of small operations"),
)
FROM_2017 = (
    Effect(
        "a schedule that falls (chapter 7)", "+0.60", "the rate is at a quarter after 1,000 steps"
    ),
    Effect("no dropout", "+0.30", "there is nothing to overfit, and noise delays"),
    Effect("labels not smoothed", "0.00", "chapter 7: no difference at the careful rate"),
    Effect("norm before the sub-layer", "+0.05", "gradients reach the tables directly"),
    Effect("two tables", "+0.10", "chapter 6: one table with the factor begins by repeating words"),
    Effect("minattn's start", "0.00", "both have nearly the same variance"),
    Effect("batches of like length", "-0.10", "chapter 7: behind at first"),
)
FROM_MINATTN = (
    Effect(
        "the schedule of 2017", "-0.95", "after 600 of 4,000 steps of warm-up the rate is small"
    ),
    Effect("dropout 0.1", "-0.05", "noise delays"),
    Effect("norm after the sum", "0.00", "chapter 6: no difference with few layers"),
    Effect("one table", "-0.02", "chapter 6: so much with one layer"),
    Effect("Xavier's start", "0.00", "both have nearly the same variance"),
    Effect("learned positions", "-0.005", "chapter 6: so much with one layer"),
)
FROM_CHAPTER_7 = {
    "the same rate to the end, after the warm-up": "no decay",
    "no warm-up": "no warm-up",
    "no clipping": "no clipping",
    "labels smoothed": "smoothing",
    "Adam with 0.999": "slow Adam",
    "batches of any lengths": "random batches",
}
"""What chapter 7 has measured, by the name of its arm."""


class ReadsAgain(Translator):
    """Writes by reading the whole target so far again, with the ``decode`` of a subclass."""

    decode: Callable[[Tensor, Memory], Tensor]

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return the logits of all steps at once."""
        return self.decode(target_in, self.encode(source))

    def start(self, memory: Memory) -> State:
        """Start with no token read."""
        return (memory.mask.new_zeros(len(memory.mask), 0, dtype=torch.long),)

    def step(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Read one more token, and all those before it again."""
        tokens = torch.cat([state[0], token[:, None]], dim=1)
        return self.decode(tokens, memory)[:, -1], (tokens,)


class TorchTranslator(ReadsAgain):
    """The encoder and decoder of ``nn.Transformer``, with all weights of ours."""

    def __init__(self, ours: TransformerTranslator) -> None:
        super().__init__()
        # Handed to nn.Transformer, they would get new weights.
        self.encoder, self.decoder = ours.encoder.to_torch(), ours.decoder.to_torch()
        tables = ours.source_embedding, ours.target_embedding
        self.source_embedding, self.target_embedding = (
            nn.Embedding.from_pretrained(table.weight.detach().clone(), freeze=False)
            for table in tables
        )
        self.readout = nn.Linear(D_MODEL, ours.readout.out_features, bias=False)
        self.readout.load_state_dict(ours.readout.state_dict())
        self.register_buffer("positions", sinusoidal(LONGEST, D_MODEL))

    def _embed(self, table: nn.Embedding, ids: Tensor) -> Tensor:
        return table(ids) * math.sqrt(D_MODEL) + self.positions[: ids.shape[1]]

    def encode(self, source: Tensor) -> Memory:
        """Let the source attend to itself."""
        tokens = token_mask(source)
        x = self._embed(self.source_embedding, source)
        return Memory(self.encoder(x, src_key_padding_mask=~tokens), tokens)

    def decode(self, target_in: Tensor, memory: Memory) -> Tensor:
        """Return the logits after every target token."""
        n = target_in.shape[1]
        x = self.decoder(
            self._embed(self.target_embedding, target_in),
            memory.states,
            tgt_mask=torch.ones(n, n, dtype=torch.bool).triu(1),
            tgt_is_causal=True,  # so that torch hands on the flag, which is faster
            memory_key_padding_mask=~memory.mask,
        )
        return self.readout(x)


class XTranslator(ReadsAgain):
    """The same sizes with x-transformers, from its own start; norms and attention have no biases there."""

    def __init__(self, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__()
        same = {
            "depth": N_LAYERS,
            "heads": N_HEADS,
            "attn_dim_head": D_MODEL // N_HEADS,
            "attn_flash": True,
            "ff_mult": D_FF / D_MODEL,
            "ff_custom_activation": nn.ReLU(),
            "max_seq_len": LONGEST,
            "scaled_sinu_pos_emb": True,
        }
        self.model = XTransformer(
            dim=D_MODEL,
            enc_num_tokens=source_vocab_size,
            dec_num_tokens=target_vocab_size,
            **{f"{side}_{name}": value for side in ("enc", "dec") for name, value in same.items()},
        )

    def encode(self, source: Tensor) -> Memory:
        """Let the source attend to itself."""
        tokens = token_mask(source)
        return Memory(self.model.encoder(source, mask=tokens, return_embeddings=True), tokens)

    def decode(self, target_in: Tensor, memory: Memory) -> Tensor:
        """Return the logits after every target token."""
        return self.model.decoder.net(target_in, context=memory.states, context_mask=memory.mask)


@cache
def the_task() -> Task:
    """Make the running task once in a process."""
    return number_words()


def vocabularies() -> tuple[int, int]:
    """Return how many tokens the two languages have."""
    return len(the_task().source), len(the_task().target)


def book_model(seed: int, **settings: Any) -> TransformerTranslator:
    """Make the model of chapters 6 and 7."""
    with seeded(seed):
        return TransformerTranslator(
            *vocabularies(),
            **(
                {"d_model": D_MODEL, "n_heads": N_HEADS, "d_ff": D_FF, "n_layers": N_LAYERS}
                | settings
            ),
        )


def their_model(seed: int) -> XTranslator:
    """Make the model of x-transformers."""
    with seeded(seed):
        return XTranslator(*vocabularies())


def book_recipe(steps: int, seed: int, **settings: Any) -> Recipe:
    """Return the recipe of chapter 7."""
    return Recipe(
        steps=steps,
        seed=seed,
        batch_size=BATCH_SIZE,
        **({"betas": (0.9, 0.98), "schedule": OneCycle(steps, warm_up=0.2)} | settings),
    )


# 1. Seconds for a step.


def plain_step(model: Translator, batch: Batch, optimizer: torch.optim.Optimizer) -> float:
    """Change the weights once, in the few lines that one would write."""
    logits = model(batch.source, batch.target_in)
    loss = F.cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


class Steps:
    """Some batches, and for each way to train a function that takes a step with every one of them."""

    def __init__(self) -> None:
        self.recipe = book_recipe(FIRST_TOTAL, seed=0)
        self.data = the_task().batch(the_task().train)
        self.rows = list(islice(_order(self.data, self.recipe), N_BATCHES))
        with seeded(0):
            together = torch.cat(self.rows)
            self.mixed = list(together[torch.randperm(len(together))].split(BATCH_SIZE))

    def adam(self, model: nn.Module, **settings: Any) -> torch.optim.Optimizer:
        """Make the optimizer of the recipe."""
        return torch.optim.Adam(
            model.parameters(), lr=self.recipe.learning_rate, betas=self.recipe.betas, **settings
        )

    def as_the_book(
        self,
        model: Translator,
        *,
        mixed: bool = False,
        adam: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Callable[[], list[float]]:
        """Step as ``minattn.recipe.train`` does; settings are those of a recipe."""
        recipe = book_recipe(FIRST_TOTAL, 0, **settings)
        optimizer = self.adam(model.train(), **(adam or {}))
        rows = self.mixed if mixed else self.rows
        return lambda: [_update(model, self.data, r, optimizer, recipe, 0) for r in rows]

    def plainly(self, model: Translator) -> Callable[[], list[float]]:
        """Step with ``plain_step``."""
        optimizer = self.adam(model.train())
        return lambda: [plain_step(model, self.data.select(r), optimizer) for r in self.rows]

    def as_2017(self) -> Callable[[], list[float]]:
        """Step as in 2017, with the same examples in batches of any lengths."""
        pairs = recipe_2017.encode(the_task())
        with seeded(0):
            model = recipe_2017.Paper(*vocabularies())
        needed = recipe_2017.prepare(model.train())

        def call() -> list[float]:
            batches = (recipe_2017.collate([pairs[i] for i in r.tolist()]) for r in self.mixed)
            return [recipe_2017.step(model, *batch, *needed) for batch in batches]

        return call


def check_same(steps: Steps) -> float:
    """See that all compute the same, as far as they can; return the largest difference of the losses."""
    ours = book_model(0)
    theirs = TorchTranslator(ours)
    calls = {REFERENCE: steps.as_the_book(ours), TORCH: steps.plainly(theirs)}
    losses = {name: [torch.tensor(call())] for name, call in calls.items()}
    difference = assert_equal(losses, REFERENCE, 1e-3)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (ours, theirs, their_model(0))]
    assert sizes[0] == sizes[1], f"nn.Transformer has {sizes[1]} parameters, ours {sizes[0]}"
    assert abs(sizes[2] / sizes[0] - 1) < 0.03, f"x-transformers has {sizes[2]}, ours {sizes[0]}"

    with seeded(0):
        paper = recipe_2017.Paper(*vocabularies(), dropout=0.0)
    batch = steps.data.select(steps.mixed[0])
    tokens = token_mask(batch.target_out)
    with torch.no_grad():
        a, b = (
            model(batch.source, batch.target_in)[tokens] for model in (paper, paper.to_minattn())
        )
    assert_equal({PAPER: [a], REFERENCE: [b]}, REFERENCE, 1e-4)
    return difference


def per_step(case: Case) -> Case:
    """Divide the times of calls, each of which takes several steps."""
    case.seconds = {name: seconds / N_BATCHES for name, seconds in case.seconds.items()}
    return case


def compare_steps(steps: Steps, effort: Effort, threads: int) -> Case:
    """Time a step of every contestant."""
    case = compare(
        {
            REFERENCE: steps.as_the_book(book_model(0)),
            TORCH: steps.plainly(TorchTranslator(book_model(0))),
            THEIRS: steps.plainly(their_model(0)),
            PAPER: steps.as_2017(),
        },
        reference=REFERENCE,
        settings={"what": "one step of training", "batch": BATCH_SIZE, "threads": threads},
        effort=effort,
        equal=lambda: check_same(steps),
        goals=[Goal(TORCH, at_least=1.0), Goal(THEIRS, at_least=1.0)],
        threads=threads,
    )
    return per_step(case)


def with_threads(number: int, call: Callable[[], Any]) -> Callable[[], Any]:
    """Let a function use so many threads."""

    def wrapped() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(number)
        call()
        torch.set_num_threads(before)

    return wrapped


def compare_changes(steps: Steps, effort: Effort) -> Case:
    """Time a step of ours with one change at a time."""
    whole = {
        "as it is": steps.as_the_book(book_model(0)),
        "a plain loop": steps.plainly(book_model(0)),
        "Adam fused": steps.as_the_book(book_model(0), adam={"fused": True}),
        "Adam foreach": steps.as_the_book(book_model(0), adam={"foreach": True}),
        "no clipping": steps.as_the_book(book_model(0), clip=math.inf),
        "batches of any lengths": steps.as_the_book(book_model(0), mixed=True),
        "dropout 0.1": steps.as_the_book(book_model(0, dropout=0.1)),
        "norm after the sum": steps.as_the_book(book_model(0, norm="post")),
        "one table": steps.as_the_book(book_model(0, tied=True)),
        "labels smoothed": steps.as_the_book(book_model(0), smoothing=0.1),
        "two threads": with_threads(2, steps.as_the_book(book_model(0))),
    }
    compiled = book_model(0)
    compiled.compile(dynamic=True)
    whole["torch.compile"] = steps.as_the_book(compiled)
    torch.set_num_threads(1)
    torch._logging.set_logs(dynamo=logging.ERROR)  # not that `check_ids` cuts the graph in two
    # From nothing, not from what an earlier run has left on the disk; torch warns of that.
    alone = torch._inductor.config.patch(force_disable_caches=True)
    with alone, warnings.catch_warnings(action="ignore"):
        start = time.perf_counter()
        whole["torch.compile"]()
        start_up = time.perf_counter() - start
    case = per_step(
        compare(
            whole,
            reference="as it is",
            settings={"what": "one step of training, one change"},
            effort=effort,
            threads=1,
        )
    )
    case.more = described(ON_A_STEP)
    case.more["torch.compile"]["seconds of start-up"] = start_up
    print(f"torch.compile starts up in {start_up:.0f} s", flush=True)
    return case


def described(effects: Iterable[Effect]) -> dict[str, dict[str, Any]]:
    """Put predictions in the form of results."""
    return {e.change: {"predicted": e.predicted, "because": e.because} for e in effects}


# 2. Steps to 99 %.


def accuracy(model: Translator, sparse: int = 1) -> float:
    """Return the share of held-out numbers that are right, or of every so manieth of them."""
    model = Cached(model) if isinstance(model, TransformerTranslator) else model
    return mean_accuracy(evaluate(model, the_task(), the_task().held_out[::sparse]))


def train_book(
    seed: int, steps: int, theirs: bool = False, change: str | None = None
) -> dict[str, Any]:
    """Train with the recipe of chapter 7, or with one change to it; return the accuracy at the end."""
    settings: dict[str, Any] = {
        "dropout 0.1": {"dropout": 0.1},
        "norm after the sum": {"norm": "post"},
        "one table": {"tied": True},
    }.get(change or "", {})
    if change == "learned positions":
        with seeded(seed):
            settings = {"positions": LearnedPositions(LONGEST, D_MODEL)}
    model = their_model(seed) if theirs else book_model(seed, **settings)
    recipe = book_recipe(steps, seed)
    if change == "Xavier's start":
        with seeded(seed):
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
    if change == "the schedule of 2017":
        recipe = book_recipe(
            steps, seed, schedule=Noam(4000), learning_rate=(D_MODEL * 4000) ** -0.5
        )
    train(model, the_task(), recipe, progress=False)
    found = accuracy(model)
    print(f"{change or ''} {steps} steps, seed {seed}: {found:.4f}", flush=True)
    return {"accuracy": found}


def train_2017(seed: int, cap: int, change: str | None = None) -> dict[str, Any]:
    """Train as in 2017, or with one change to that, until enough numbers are right or there is no step left."""
    cycle = OneCycle(cap, warm_up=0.2)
    settings: dict[str, Any] = {
        None: {},
        "a schedule that falls (chapter 7)": {"rate": lambda step: 3e-3 * cycle(step)},
        "no dropout": {"dropout": 0.0},
        "labels not smoothed": {"smoothing": 0.0},
        "norm before the sub-layer": {"norm_first": True},
        "two tables": {"tied": False},
        "minattn's start": {"xavier": False},
        "batches of like length": {"by_length": True},
    }[change]
    found: dict[int, float] = {}
    with seeded(seed):
        for done, model in recipe_2017.train(the_task(), cap, **settings):
            if done % EARLY and (done < EARLY or done % 200):
                continue
            ours = model.to_minattn()
            found[done] = accuracy(ours, sparse=4)
            if done == EARLY or found[done] >= RIGHT - 0.01:
                found[done] = accuracy(ours)
                if found[done] >= RIGHT:
                    break
    reached = next((done for done, right in found.items() if right >= RIGHT), None)
    print(f"as in 2017, {change or 'as it is'}, seed {seed}: {found[EARLY]:.4f}", flush=True)
    return {"steps": reached, "accuracy": found}


Job = Callable[[], dict[str, Any]]
Run = Callable[[list[Job]], list[dict[str, Any]]]


@contextmanager
def workers() -> Iterator[Run]:
    """Open two processes with a thread each; hand out what lets them work on a list of jobs."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, torch.set_num_threads, (1,)) as pool:
        yield lambda jobs: list(pool.map(do, jobs))


def do(job: Job) -> dict[str, Any]:
    """Do a job in a process of its own."""
    return job()


def smallest_total(
    run: Run, first: int, **settings: Any
) -> tuple[int | None, dict[int, list[float]]]:
    """Find the least number of steps after which the median of five seeds is right in 99 %."""
    tried: dict[int, list[float]] = {}

    def enough(total: int) -> bool:
        jobs: list[Job] = [partial(train_book, seed, total, **settings) for seed in SEEDS]
        tried[total] = [found["accuracy"] for found in run(jobs)]
        print(f"{settings} {total} steps: {sorted(tried[total])}", flush=True)
        return statistics.median(tried[total]) >= RIGHT

    at = TOTALS.index(first)
    if enough(first):
        while at > 0 and enough(TOTALS[at - 1]):
            at -= 1
        return TOTALS[at], tried
    return next((total for total in TOTALS[at + 1 :] if enough(total)), None), tried


def seconds_to_99(case: Case, steps: dict[str, int], more: dict[str, dict[str, Any]]) -> Case:
    """Multiply steps and seconds per step."""
    ratios = {
        name: tuple(ratio * steps[name] / steps[REFERENCE] for ratio in case.ratios[name])
        for name in steps
        if name != REFERENCE
    }
    found = Case(
        {"what": "seconds to 99 %", "seeds": len(SEEDS), "threads": case.settings["threads"]},
        REFERENCE,
        ratios,  # type: ignore[arg-type]
        {name: case.seconds[name] * number for name, number in steps.items()},
        goals=[Goal(PAPER, at_least=3.0)],
        more=more,
    )
    report(found)
    return found


def count_steps(run: Run, case: Case, paper: list[dict[str, Any]]) -> Case:
    """Count the steps to 99 % of all contestants; those of 2017 have been trained."""
    steps: dict[str, int] = {}
    more: dict[str, dict[str, Any]] = {}
    for name, first in ((REFERENCE, FIRST_TOTAL), (THEIRS, FIRST_TOTAL_OF_THEIRS)):
        total, tried = smallest_total(run, first, theirs=name == THEIRS)
        steps[name] = TOTALS[-1] if total is None else total
        more[name] = {"steps": total, "accuracy after steps": tried}
    steps[TORCH] = steps[REFERENCE]
    more[TORCH] = {"steps": steps[TORCH], "because": "same weights, same losses step by step"}
    # Who is not there at the cap needs more; such a median is a lower bound.
    reached = [one["steps"] for one in paper]
    steps[PAPER] = int(statistics.median(n or CAP_2017 for n in reached))
    more[PAPER] = {
        "steps": steps[PAPER],
        "more than": sum(n is None for n in reached) > len(reached) // 2,
        "steps of every seed": reached,
        "accuracy after steps": [one["accuracy"] for one in paper],
    }
    return seconds_to_99(case, steps, more)


# 3. Where the factor comes from.


def run_2017(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Train as in 2017, and with one change at a time."""
    jobs: dict[str, list[Job]] = {
        "as it is": [partial(train_2017, seed, CAP_2017) for seed in SEEDS],
        **{
            effect.change: [partial(train_2017, seed, EARLY, effect.change) for seed in FEW_SEEDS]
            for effect in FROM_2017
        },
    }
    return in_groups(run, jobs)


def run_changes(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Train as in chapter 7, with one change at a time."""
    jobs: dict[str, list[Job]] = {
        effect.change: [
            partial(train_book, seed, FIRST_TOTAL, change=effect.change) for seed in FEW_SEEDS
        ]
        for effect in FROM_MINATTN
    }
    return in_groups(run, jobs)


def in_groups(run: Run, jobs: dict[str, list[Job]]) -> dict[str, list[dict[str, Any]]]:
    """Do all jobs, so that no process waits for a group to end."""
    found = iter(run([job for group in jobs.values() for job in group]))
    return {name: list(islice(found, len(group))) for name, group in jobs.items()}


def describe_changes(
    paper: dict[str, list[dict[str, Any]]], ours: dict[str, list[dict[str, Any]]]
) -> list[Case]:
    """Put accuracies after the same number of steps beside what was predicted."""
    from_2017 = {"as it is": {}, **described(FROM_2017)}
    for change, runs in paper.items():
        from_2017[change]["accuracy"] = [one["accuracy"][EARLY] for one in runs]
    from_minattn = described(FROM_MINATTN)
    for change, runs in ours.items():
        from_minattn[change]["accuracy"] = [one["accuracy"] for one in runs]
    stored = results("recipe")
    for change, arm in {"as it is": "full", **FROM_CHAPTER_7}.items():
        from_minattn[change] = {"accuracy": stored.values(f"{arm}, rate 0.003", "mean accuracy")}
    return [
        Case(
            {"what": f"right after {steps} steps, one change to {recipe}"},
            "as it is",
            {},
            {},
            more=more,
        )
        for recipe, steps, more in (
            ("the recipe of 2017", EARLY, from_2017),
            ("the recipe of chapter 7", FIRST_TOTAL, from_minattn),
        )
    ]


def measure(effort: Effort) -> list[Case]:
    """Measure steps, and what they lead to."""
    steps = Steps()
    if effort.quick:
        return [compare_steps(steps, effort, threads=1)]
    cases = [compare_steps(steps, effort, threads) for threads in (1, 2)]
    cases.append(compare_changes(steps, effort))
    with workers() as run:
        paper = run_2017(run)
        cases.append(count_steps(run, cases[0], paper["as it is"]))
        cases += describe_changes(paper, run_changes(run))
    return cases
