"""The problems that models are trained on: made by code, no download, one shape for all."""

from minattn.tasks.base import Example, Task, gold_alignment
from minattn.tasks.german_numbers import number_example, number_words, read_number
from minattn.tasks.letters import copying, previous_token, repetition, reversal, slopes
from minattn.tasks.messages import message_pairs
from minattn.tasks.two_languages import TO_ENGLISH, TO_FRENCH, bilingual_example, two_languages

__all__ = [
    "TO_ENGLISH",
    "TO_FRENCH",
    "Example",
    "Task",
    "bilingual_example",
    "copying",
    "gold_alignment",
    "message_pairs",
    "number_example",
    "number_words",
    "previous_token",
    "read_number",
    "repetition",
    "reversal",
    "slopes",
    "two_languages",
]
