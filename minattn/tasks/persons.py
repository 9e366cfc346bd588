"""People who lived, as WordNet tells of them, and a headline for each: real texts full of names seen only once.

The texts are definitions of WordNet 3.0 with the names in front; its licence lies beside them in ``persons.LICENSE``,
and ``book/tools/persons.py`` is how they were extracted. People wrote the texts; the headlines were made by rule.
"""

import json
import lzma
from collections import Counter
from collections.abc import Sequence
from importlib import resources

from minattn.checks import check_sizes
from minattn.tasks.base import Example
from minattn.tasks.summaries import SummaryTask, summary_vocabulary


def persons(n_words: int = 1500) -> SummaryTask:
    """Return 2,166 people in three parts that have no family name in common.

    Args:
        n_words: how many words the vocabulary has beside the special tokens: those that come most often in texts and
            headlines of ``train``. The others are unknown, and most names are among them.

    Raises:
        ValueError: if there is no word.

    >>> task = persons()
    >>> len(task.train), len(task.validation), len(task.held_out), len(task.source)
    (1663, 246, 257, 1504)
    >>> " ".join(task.held_out[5].source)
    'Arnold , Matthew Arnold : English poet and literary critic ( 1822 - 1888 )'
    >>> " ".join(task.held_out[5].target)
    'Matthew Arnold , poet from England , lived 1822 to 1888'
    """
    check_sizes(n_words=n_words)
    packed = resources.files("minattn.tasks").joinpath("persons.json.xz").read_bytes()
    parts = {
        part: tuple(_example(text.split(), headline.split()) for text, headline in people)
        for part, people in json.loads(lzma.decompress(packed)).items()
    }
    counts = word_counts(parts["train"])
    vocabulary = summary_vocabulary([word for word, _ in counts.most_common(n_words)])
    return SummaryTask(
        "persons",
        vocabulary,
        vocabulary,
        train=parts["train"],
        held_out=parts["test"],
        validation=parts["validation"],
    )


def word_counts(examples: Sequence[Example]) -> Counter[str]:
    """Count how often each word comes in texts and headlines; what comes equally often is in order of the alphabet."""
    counts = Counter(word for one in examples for word in (*one.source, *one.target))
    return Counter(dict(sorted(counts.items())))


def _example(text: Sequence[str], headline: Sequence[str]) -> Example:
    """Align the words of a headline that stand in the text once; of the others nobody knows where they are from."""
    places = [text.index(word) if text.count(word) == 1 else None for word in headline]
    return Example(tuple(text), tuple(headline), tuple(places), length=len(text))
