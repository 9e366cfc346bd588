"""Short Python functions, as two real libraries have them: a text in which names are given once and used again.

They come from the source of networkx 3.6.1 and scikit-learn 1.9.1, which are BSD-3-licensed; the licences lie beside
them in ``functions.LICENSE``, and ``book/tools/functions.py`` is how they were extracted. Docstrings, comments and
decorators were taken out, and a tab stands for each level of indentation.
"""

import json
import lzma
import string
from importlib import resources
from typing import NamedTuple

ALPHABET = ("\t", "\n", *string.ascii_letters, *string.digits, *string.punctuation)
"""What the functions are made of, beside blanks."""


class Functions(NamedTuple):
    """Functions to learn from, others to choose by, others to test on once; and how their words are cut.

    Args:
        train: to learn from.
        validation: from other files, to make choices by.
        test: from other files again.
        merges: pairs of pieces in the order in which ``learn_subwords`` joins them in ``train``; the first n of them
            are those that it finds for n.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]


def python_functions() -> Functions:
    """Return 2321 functions of 3 to 25 lines, in three parts that have no eight words in a row in common.

    >>> functions = python_functions()
    >>> len(functions.train), len(functions.validation), len(functions.test)
    (1839, 237, 245)
    >>> print(functions.train[10].expandtabs(4))
    def _same(measure, tol=0):
        vals = set(measure.values())
        if max(vals) - min(vals) <= tol:
            return True
        return False
    """
    packed = resources.files("minattn.tasks").joinpath("functions.json.xz").read_bytes()
    found = json.loads(lzma.decompress(packed))
    return Functions(
        train=tuple(found["train"]),
        validation=tuple(found["validation"]),
        test=tuple(found["test"]),
        merges=tuple((a, b) for a, b in found["merges"]),
    )
