"""Chapter 21: the same ways of explaining, on one model each of chapters 6 to 16: some stored, some trained anew."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from book.experiments import bert, captioning, gpt, speech, t5, transformer
from book.experiments.bert_measures import digit_gaps
from book.experiments.explanation import parts_of, translated
from book.experiments.explanation_measures import Case, explained
from book.experiments.object_queries_masks import OVERLAP
from book.experiments.object_queries_measures import seen
from book.experiments.running import run_all
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.language import text_to_text
from minattn.language.gpt import truth as copies
from minattn.masks import CAUSAL
from minattn.pictures import queries
from minattn.probing.attribution import log_odds
from minattn.recipe import train
from minattn.speech.listening import STRIDE
from minattn.tasks import number_words
from minattn.tasks.captions import captions
from minattn.tasks.emoji import TRAINED
from minattn.tasks.functions import python_functions
from minattn.tasks.persons import persons
from minattn.tasks.spoken_numbers import spoken_numbers
from minattn.tasks.two_notations import truth as notations_truth
from minattn.tasks.two_notations import two_notations, two_notations_text
from minattn.training import fit
from minattn.vocabulary import Vocabulary, token_mask

SEEDS = (0,)
N_EXPLAINED = 24
N_LONGEST = 60
"""Tokens of a function that are read."""
N_PICTURES, PICTURE_STEPS = 3000, 600
"""To learn to caption from: fewer than in captioning, which is enough here."""
PICTURE_SEEDS = (2, 21)
"""Of scenes: to choose by, and to measure on."""

ARMS: dict[str, dict[str, Any]] = {
    "number words, Transformer": {"kind": "transformer"},
    "GPT": {"kind": "gpt"},
    "BERT": {"kind": "bert"},
    "T5": {"kind": "t5"},
    "headlines": {"kind": "headlines"},
    "speech": {"kind": "speech"},
    "captions": {"kind": "captions"},
    "object queries": {"kind": "objects"},
}

Cases = tuple[Case, Case]


def stored(name: str) -> Any:
    """Return a stored model."""
    model = import_module(f"book.models.{name}").build()
    load_model(stored_model(name), model)
    return model.eval()


def spoken_of(
    logits: Callable[[], Tensor], said: Tensor, truth: Tensor, allowed: Tensor, **places: Any
) -> Case:
    """Make a case of what a model says at every place; what is not counted there is explained by nobody."""
    with torch.no_grad():
        right = (logits().argmax(-1) == said) & token_mask(said)
    return Case(
        decide=lambda: log_odds(logits(), said),
        right=right,
        truth=truth,
        allowed=allowed,
        **places,
    )


def of_transformer(seed: int) -> Cases:
    """Explain number words."""
    task = number_words()
    model = transformer.make_model(task, seed)
    how = {"batch_size": transformer.BATCH_SIZE, "learning_rate": transformer.LEARNING_RATE}
    fit(model, task, steps=transformer.STEPS, seed=seed, progress=False, **how)
    model.eval()
    blocks: Any = model.decoder.blocks
    first, second = (
        translated(
            model,
            task,
            part,
            parts=[block.cross_attention for block in blocks],
            inputs=model.source_embedding,
            stack=model.encoder,
            crossing=True,
        )
        for part in parts_of(task.held_out)
    )
    return first, second


def of_gpt(seed: int) -> Cases:
    """Explain pieces of functions that could be copied."""
    functions = python_functions()
    words = Vocabulary(gpt.pieces(functions).tokens)
    model = gpt.make_model(len(words), seed=0).eval()
    load_model(stored_model("gpt"), model)

    def case(texts: tuple[str, ...]) -> Case:
        ids = gpt.encoded(texts[:N_EXPLAINED], functions, words)
        batch = gpt.batch_of([text[:N_LONGEST] for text in ids])
        truth = copies(batch)
        return spoken_of(
            lambda: model(batch.source, batch.target_in),
            batch.target_out,
            truth,
            CAUSAL.to_bool(truth.shape[1:]).expand_as(truth),
            parts=[block.self_attention for block in model.decoder.blocks],
            inputs=model.embedding,
            calls=(1,),
            stack=model.decoder,
        )

    return case(functions.validation), case(functions.test)


def of_bert(seed: int) -> Cases:
    """Explain hidden digits that a word says."""
    task = two_notations()
    model = bert.pretrain(task, seed)[0].eval()

    def case(numbers: Sequence[int]) -> Case:
        texts = [two_notations_text(number) for number in numbers[:N_EXPLAINED]]
        texts_of = notations_truth(texts).any(-1).nonzero()[:, 0]
        read, places, right, _ = digit_gaps(task, texts)
        rows = torch.arange(len(read))
        asked = torch.zeros_like(read)
        asked[rows, places] = task.encode(texts)[texts_of, places]
        truth = torch.zeros(*read.shape, read.shape[1], dtype=torch.bool)
        truth[rows, places] = right[:, 0]
        return spoken_of(
            lambda: model(read),
            asked,
            truth,
            token_mask(read)[:, None],
            parts=[block.self_attention for block in model.encoder.blocks],
            inputs=model.table,
            stack=model.encoder,
        )

    return case(task.validation), case(task.held_out)


def of_t5(seed: int) -> Cases:
    """Explain digits and words of other notations."""
    model, task = stored("t5"), t5.task_of()
    said = [one for one in task.held_out if isinstance(one, text_to_text.TextExample)]
    with_truth = [one for one in said if text_to_text.truth([one]).any()]

    def case(examples: Sequence[Any]) -> Case:
        batch, truth = task.batch(examples), text_to_text.truth(examples)
        return spoken_of(
            lambda: model(batch.source, batch.target_in),
            batch.target_out,
            truth,
            token_mask(batch.source)[:, None],
            parts=[block.cross_attention for block in model.decoder.blocks],
            inputs=model.table,
            stack=model.encoder,
            crossing=True,
        )

    step = max(1, len(with_truth) // (2 * N_EXPLAINED))
    some = with_truth[::step]
    return case(some[::2][:N_EXPLAINED]), case(some[1::2][:N_EXPLAINED])


def of_headlines(seed: int) -> Cases:
    """Explain names that are in no vocabulary."""
    model, task = stored("persons"), persons()

    def case(examples: Sequence[Any]) -> Case:
        batch = task.batch(examples[:N_EXPLAINED])
        return spoken_of(
            lambda: model(batch.source, batch.target_in),
            batch.target_out,
            task.truth(batch),
            token_mask(batch.source)[:, None],
            parts=[model],
            inputs=model.embedding,
            calls=(0, 1),
        )

    return case(task.validation), case(task.held_out)


def of_speech(seed: int) -> Cases:
    """Explain words that are heard."""
    task = spoken_numbers(seed=speech.TASK_SEED)
    model = speech.make_model(task, seed, "attention")
    speech.teach(model, task, seed)
    model.eval()

    def case(spoken: Sequence[Any]) -> Case:
        batch = task.batch(spoken[:N_EXPLAINED])
        with torch.no_grad():
            memory = model.encode(batch.source, batch.source_mask)
        truth = task.truth(spoken[:N_EXPLAINED], STRIDE)
        return spoken_of(
            lambda: model(batch.source, batch.target_in, batch.source_mask),
            batch.target_out,
            truth,
            memory.mask[:, None],
            parts=[model],
            inputs=model.encoder.norms[-1],
        )

    return case(task.validation), case(task.held_out)


def of_captions(seed: int) -> Cases:
    """Explain names of what is in a picture."""
    sizes = (N_PICTURES, N_EXPLAINED, N_EXPLAINED)
    task = captions(
        *(
            captioning.pictured(captioning.stored_stem(), n, TRAINED, 1 + part)
            for part, n in enumerate(sizes)
        ),
        "en",
    )
    model = captioning.make_model(task, seed)
    train(model, task, captioning.recipe(seed, PICTURE_STEPS), progress=False)
    model.eval()

    def case(examples: Sequence[Any]) -> Case:
        batch = task.batch(examples[:N_EXPLAINED])
        truth = task.truth(examples[:N_EXPLAINED])
        return spoken_of(
            lambda: model(batch.source, batch.target_in, batch.source_mask),
            batch.target_out,
            truth,
            torch.ones(len(truth), 1, truth.shape[2], dtype=torch.bool),
            parts=[model],
            inputs=model.norm,
        )

    return case(task.validation), case(task.held_out)


def of_objects(seed: int) -> Cases:
    """Explain what queries say that answer for a thing."""
    model = stored("segments").queries

    def case(scenes_seed: int) -> Case:
        things = seen(N_EXPLAINED, TRAINED, seed=scenes_seed, overlap=OVERLAP)
        with torch.no_grad():
            answers = model(things.cells)
            chosen = queries.partners(answers, things)
        n_queries, nothing = answers.classes.shape[1], answers.classes.shape[2] - 1
        rows, places = things.there.nonzero(as_tuple=True)
        said = torch.full((len(chosen), n_queries), nothing)
        said[rows, chosen[rows, places]] = things.classes[rows, places]
        truth = queries.truth(things, chosen, n_queries)
        return Case(
            decide=lambda: log_odds(model(things.cells).classes, said),
            right=answers.classes.argmax(-1) == said,
            truth=truth,
            allowed=torch.ones(len(truth), 1, truth.shape[2], dtype=torch.bool),
            parts=[block.cross_attention for block in model.blocks],
            inputs=model.norm,
        )

    return case(PICTURE_SEEDS[0]), case(PICTURE_SEEDS[1])


KINDS: dict[str, Callable[[int], Cases]] = {
    "transformer": of_transformer,
    "gpt": of_gpt,
    "bert": of_bert,
    "t5": of_t5,
    "headlines": of_headlines,
    "speech": of_speech,
    "captions": of_captions,
    "objects": of_objects,
}


def run(seed: int, kind: str) -> dict[str, Any]:
    """Explain in every way what one model decides."""
    return explained(*KINDS[kind](seed))


def main() -> None:
    """Run all arms."""
    run_all("explanation_stored", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
