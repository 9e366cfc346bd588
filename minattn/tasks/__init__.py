"""The problems that models are trained on: made by code, no download, one shape for all."""

from minattn.tasks.base import Example, Task, gold_alignment
from minattn.tasks.german_numbers import number_example, number_words, read_number
from minattn.tasks.letters import copying, previous_token, repetition, reversal, slopes

__all__ = [
    "Example",
    "Task",
    "copying",
    "gold_alignment",
    "number_example",
    "number_words",
    "previous_token",
    "read_number",
    "repetition",
    "reversal",
    "slopes",
]
