"""What an arm does in its first few steps: enough to tell whether a change of code has changed it.

A result took minutes or hours of training. A fingerprint takes a fraction of a second: the arm is run as it
is, with its first seed, but training ends after a few batches, and few examples are held out. Schedules and
the order of examples are those of the whole run, so the losses are its first ones.
"""

import dataclasses
import importlib
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import minattn.language.text_to_text
import minattn.learning
import minattn.subwords
import minattn.tasks
import minattn.tasks.coloured_dots
import minattn.tasks.facts
import minattn.tasks.functions
import minattn.tasks.many_voices
import minattn.tasks.persons
import minattn.tasks.placed_emoji
import minattn.tasks.scenes
import minattn.tasks.spoken_numbers
import minattn.tasks.stereo
import minattn.tasks.turned_pictures
import minattn.tasks.two_notations
import minattn.training
from minattn.tasks.base import Example, Task

LOSS_TOLERANCE = 1e-4
TOLERANCE = 5e-3
"""What another processor may do to a loss, and to what is measured after the steps: there a count may move."""

HERE = Path(__file__).parent
STEPS = 3
N_SENTENCES = {"train": 500, "held_out": 8}
"""To learn how real sentences are cut takes longer than anything else here."""
N_FUNCTIONS = {"train": 200, "validation": 4, "test": 4}
N_NUMBERS = 20
N_SUMMARIES = 8
N_PICTURES = 8
"""Of the pictures of chapter 18, in each part."""
N_PAIRS = 4
CUT = slice(96, 120), slice(160)
"""Of the scenes of chapter 17; and how many are drawn."""
SCENES_FOR_ONE = {"rows": 25, "free": 50}
"""Of so many scenes one is drawn; those of captions stand in rows."""
PLACED_FOR_ONE = 29
"""Where pictures of more than 200 sentences are drawn, of so many sentences one is; no kind of sentence is left out."""
N_SPOKEN = {"train": 48, "validation": 4, "held_out": 4}


def load_experiment(name: str) -> Any:
    """Import the script of an experiment."""
    return importlib.import_module(f"book.experiments.{name}")


def fingerprint(
    run: Callable[..., dict[str, Any]], settings: dict[str, Any], seed: int
) -> dict[str, float]:
    """Run the beginning of an arm.

    Returns:
        The loss of every step, and everything that the arm measures after them, by name.
    """
    losses: list[float] = []
    with in_short(losses):
        measured = run(seed=seed, **settings)
    steps = {f"step {number}": loss for number, loss in enumerate(losses, 1)}
    return {name: significant(value) for name, value in (steps | numbers(measured)).items()}


def numbers(measured: Any, name: str = "") -> dict[str, float]:
    """Give every number of a measurement a name; times are none, for they differ from run to run."""
    if isinstance(measured, dict):
        parts = [(str(key), value) for key, value in measured.items()]
    elif isinstance(measured, list | tuple):
        parts = [(str(place), value) for place, value in enumerate(measured)]
    elif isinstance(measured, int | float) and not name.startswith("seconds"):
        return {name: float(measured)}
    else:
        return {}
    found = {}
    for part, value in parts:
        found |= numbers(value, f"{name} / {part}" if name else part)
    return found


def significant(value: float) -> float:
    """Keep six digits."""
    return float(f"{value:.6g}")


@contextmanager
def in_short(losses: list[float]) -> Iterator[None]:
    """Let every training end after a few batches, write down its losses, and hold few examples out."""
    places = [
        (space, key)
        for module in list(sys.modules.values())
        if _is_ours(module)
        for space in (vars(module), *(v for v in vars(module).values() if type(v) is dict))
        for key in space
    ]
    append = minattn.training.Losses.append

    def noted(self: list[float], loss: float) -> None:
        append(self, loss)
        losses.append(loss)

    with ExitStack() as stack:
        for space, key in places:
            other = _stand_ins().get(_hashable(space[key]))
            if other is not None:
                stack.enter_context(patch.dict(space, {key: other}))
        stack.enter_context(patch.object(minattn.training.Losses, "append", noted, create=True))
        yield


def _is_ours(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    return str(getattr(module, "__name__", "")).startswith("minattn") or (
        file is not None and Path(file).parent == HERE and file != __file__
    )


def _hashable(value: Any) -> Any:
    return value if callable(value) and getattr(value, "__hash__", None) else None


@cache
def _stand_ins() -> dict[Any, Any]:
    """Return what is put in the place of functions: shorter ones, and ones that remember what they made."""
    make_batch = minattn.tasks.base.make_batch
    found = {
        minattn.training.batches: _first(minattn.training.batches),
        minattn.tasks.message_pairs: cache(_few_sentences(minattn.tasks.message_pairs)),
        minattn.tasks.functions.python_functions: cache(
            _few_functions(minattn.tasks.functions.python_functions)
        ),
        make_batch: _remembering(make_batch),
        minattn.learning.learn: _first_steps(minattn.learning.learn),
        minattn.learning._check_end: lambda *arguments: None,  # it ends before its time
        minattn.subwords.learn_subwords: _by_contents(minattn.subwords.learn_subwords),
    }
    for name in ("copying", "number_words", "previous_token", "repetition", "reversal", "slopes"):
        found[getattr(minattn.tasks, name)] = cache(_few(getattr(minattn.tasks, name)))
    two_notations = minattn.tasks.two_notations.two_notations
    found[two_notations] = cache(_few_numbers(two_notations))
    for name, texts in (("facts", minattn.tasks.facts), ("persons", minattn.tasks.persons)):
        found[getattr(texts, name)] = cache(_few_summaries(getattr(texts, name)))
    text_to_text = minattn.language.text_to_text.text_to_text
    found[text_to_text] = cache(_small(text_to_text))
    spoken = minattn.tasks.spoken_numbers
    found[spoken.spoken_numbers] = cache(_few_spoken(spoken.spoken_numbers))
    found[spoken.utterances] = cache(_few_utterances(spoken.utterances))
    turned = minattn.tasks.turned_pictures.turned_pictures
    found[turned] = cache(_few_turned(turned))
    dotted = minattn.tasks.coloured_dots.coloured_dots
    found[dotted] = _few_dotted(dotted)
    many = minattn.tasks.many_voices.many_voices
    found[many] = cache(_few_spoken(many))
    stereo = minattn.tasks.stereo
    for view in (stereo.motorcycle, stereo.free_pair):
        found[view] = cache(_cut_out(view))
    found[stereo.stereo_pairs] = cache(_few_pairs(stereo.stereo_pairs))
    found[minattn.tasks.scenes.scenes] = _few_scenes(minattn.tasks.scenes.scenes)
    placed = minattn.tasks.placed_emoji
    found[placed.draw] = _few_placed(placed.draw)
    found[placed.draw_pairs] = _few_placed(placed.draw_pairs)
    found[minattn.tasks.two_languages] = cache(_few(minattn.tasks.two_languages))
    return found


def _first(batches: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @wraps(batches)
    def first(*arguments: Any, **named: Any) -> Iterator[Any]:
        return islice(batches(*arguments, **named), STEPS)

    return first


def _first_steps(learn: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(learn)
    def begun(model: Any, batches: Any, *arguments: Any, **named: Any) -> Any:
        return learn(model, islice(batches, STEPS), *arguments, **named)

    return begun


def _few_numbers(make_task: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make_task)
    def small(*arguments: Any, **named: Any) -> Any:
        task = make_task(*arguments, **named)
        few = dataclasses.replace(
            task, validation=task.validation[:N_NUMBERS], held_out=task.held_out[:N_NUMBERS]
        )
        object.__setattr__(few, "numbers", cache(few.numbers))  # all arms begin with writing them
        return few

    return small


def _few_summaries(make_task: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make_task)
    def small(*arguments: Any, **named: Any) -> Any:
        task = make_task(*arguments, **named)
        return dataclasses.replace(
            task, validation=task.validation[:N_SUMMARIES], held_out=task.held_out[:N_SUMMARIES]
        )

    return small


def _few_spoken(make_task: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make_task)
    def small(*arguments: Any, **named: Any) -> Any:
        task = make_task(*arguments, **named)
        parts = {part: getattr(task, part)[:n] for part, n in N_SPOKEN.items()}
        few = dataclasses.replace(task, **parts)
        object.__setattr__(few, "batch", _by_examples(few.batch))  # sounds are made in it
        return few

    return small


def _small(text_to_text: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(text_to_text)
    def small(n_train: int) -> Any:
        return text_to_text(n_train // 10, 2, 2)

    return small


def _by_examples(make_batch: Callable[..., Any]) -> Callable[..., Any]:
    made = cache(make_batch)
    return lambda examples: made(tuple(examples))


def _few_utterances(draw: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(draw)
    def few(n: int, *arguments: Any, **named: Any) -> Any:
        whole_task = n > 1000
        return draw(n, *arguments, **named)[: n if whole_task else N_SPOKEN["held_out"]]

    return few


def _few_turned(make_task: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make_task)
    def small(*arguments: Any, **named: Any) -> Any:
        task = make_task(*arguments, **named)
        parts = ((part, getattr(task, part)) for part in ("validation", "held_out"))
        few = {part: type(x)(*(y[:N_PICTURES] for y in x)) for part, x in parts}
        return dataclasses.replace(task, **few)

    return small


def _few_dotted(draw: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(draw)
    def few(part: str, n: int, **named: Any) -> Any:
        return draw(part, min(n, N_PICTURES), **named)

    return few


def _cut_out(scene: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(scene)
    def few() -> Any:
        pair = scene()
        return type(pair)(*(part[:, *CUT] for part in (pair.left, pair.right, pair.disparity)))

    return few


def _few_pairs(draw: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(draw)
    def few(n: int, height: int = 24, *arguments: Any, **named: Any) -> Any:
        return draw(min(n, N_PAIRS), min(height, 24), *arguments, **named)

    return few


def _few_scenes(draw: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(draw)
    def few(number: int, *arguments: Any, layout: str = "rows", **named: Any) -> Any:
        few_of_them = -(-number // SCENES_FOR_ONE[layout])
        return draw(few_of_them, *arguments, layout=layout, **named)

    return few


def _few_placed(draw: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(draw)
    def few(told: Any, *arguments: Any, **named: Any) -> Any:
        return draw(told if len(told) <= 200 else told[::PLACED_FOR_ONE], *arguments, **named)

    return few


def _few(make_task: Callable[..., Task]) -> Callable[..., Task]:
    @wraps(make_task)
    def small(*arguments: Any, **named: Any) -> Task:
        task = make_task(*arguments, **named)
        by_length: dict[int, list[Example]] = defaultdict(list)
        for example in task.held_out:
            by_length[example.length].append(example)
        # Of a task with two halves, one of each.
        few = tuple(e for group in by_length.values() for e in (group[0], group[-1]))
        return dataclasses.replace(task, held_out=few)

    return small


def _few_sentences(message_pairs: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(message_pairs)
    def small(*arguments: Any, **named: Any) -> Any:
        messages = message_pairs(*arguments, **named)
        return messages._replace(**{k: getattr(messages, k)[:n] for k, n in N_SENTENCES.items()})

    return small


def _few_functions(python_functions: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(python_functions)
    def small() -> Any:
        found = python_functions()
        return found._replace(**{part: getattr(found, part)[:n] for part, n in N_FUNCTIONS.items()})

    return small


def _by_contents(learn: Callable[..., Any]) -> Callable[..., Any]:
    """Learn the same pieces from the same texts once."""
    made: dict[Any, Any] = {}

    @wraps(learn)
    def learned(texts: Any, n_merges: int, alphabet: Any = ()) -> Any:
        key = tuple(texts), n_merges, tuple(sorted(alphabet))
        if key not in made:
            made[key] = learn(*key)
        return made[key]

    return learned


def _remembering(make_batch: Callable[..., Any]) -> Callable[..., Any]:
    """Encode a large set of examples once: all arms of a task begin with that."""
    made: dict[tuple[int, ...], tuple[Any, Any]] = {}

    @wraps(make_batch)
    def remembering(*arguments: Any) -> Any:
        if len(arguments[0]) < 1000:
            return make_batch(*arguments)
        key = tuple(map(id, arguments))
        if key not in made:
            made[key] = arguments, make_batch(*arguments)  # kept, so that no id is given twice
        return made[key][1]

    return remembering


def differences(stored: dict[str, float], found: dict[str, float]) -> list[str]:
    """Say what of a fingerprint is not what it was."""
    told = [f"{name} is gone" for name in stored.keys() - found.keys()]
    told += [f"{name} is new" for name in found.keys() - stored.keys()]
    for name in stored.keys() & found.keys():
        was, now = stored[name], found[name]
        room = LOSS_TOLERANCE if name.startswith("step ") else TOLERANCE
        same = math.isclose(was, now, rel_tol=room, abs_tol=room)
        if not same and not (math.isnan(was) and math.isnan(now)):
            told.append(f"{name} was {was:.6g} and is {now:.6g}")
    return sorted(told)
