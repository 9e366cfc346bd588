"""The problems that models are trained on: made by code, no download, one shape for all."""

from minattn.tasks.base import Example, Task, gold_alignment
from minattn.tasks.german_numbers import number_example, number_words
from minattn.tasks.token_reversal import reversal

__all__ = ["Example", "Task", "gold_alignment", "number_example", "number_words", "reversal"]
