"""Chapter 1: how many of the wrong digits stand elsewhere in the right number, and how many would by chance?"""

from typing import Any

from book.experiments.context_vector import BATCH_SIZE, STEPS
from book.experiments.running import run_all
from minattn.recurrent import RecurrentTranslator
from minattn.tasks import number_words, read_number
from minattn.training import fit, seeded
from minattn.translation import translate

ARMS: dict[str, dict[str, Any]] = {"d_model 64": {"d_model": 64}}


def elsewhere(digit: str, place: int, number: str) -> dict[str, bool]:
    """Say where else in a number a digit stands that is not at its place."""
    found = [other for other, right in enumerate(number) if right == digit]
    return {
        "anywhere": bool(found),
        "in the same group of three": any(other // 3 == place // 3 for other in found),
        "next to its place": any(abs(other - place) == 1 for other in found),
    }


def run(seed: int, d_model: int) -> dict[str, Any]:
    """Train the chapter's model and look at the wrong digits of held-out numbers of twelve digits."""
    task = number_words()
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source), len(task.target), d_model=d_model, attends="before"
        )
    fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    examples = task.held_out_of(12)
    right = [str(read_number(example.target)) for example in examples]
    written = [str(read_number(words)) for words in translate(model, task, examples, 40)]
    return {
        "exact": sum(a == b for a, b in zip(right, written, strict=True)) / len(right),
        "read as twelve digits": sum(len(number) == 12 for number in written) / len(right),
    } | measure(right, written)


def measure(right: list[str], written: list[str]) -> dict[str, Any]:
    """Compare digit by digit; chance is the same wrong digits against all the other numbers.

    A number counts as another chance only where the digit is wrong at its place there too. A zero that is written
    where there is none is left out, for it is no word.
    """
    pairs = [pair for pair in zip(right, written, strict=True) if len(pair[1]) == 12]
    wrong = [
        (number, place, digit)
        for number, guess in pairs
        for place, digit in enumerate(guess)
        if digit not in ("0", number[place])
    ]
    found = [elsewhere(digit, place, number) for number, place, digit in wrong]
    chances = [
        [
            elsewhere(digit, place, other)
            for other in right
            if other != number and other[place] != digit
        ]
        for number, place, digit in wrong
    ]
    names = found[0] if found else ()
    return {
        "wrong": len(wrong) / (12 * max(1, len(pairs))),
        "elsewhere": {name: mean([one[name] for one in found]) for name in names},
        "by chance": {
            name: mean([mean([one[name] for one in others]) for others in chances])
            for name in names
        },
    }


def mean(numbers: Any) -> float:
    """Average numbers."""
    return sum(numbers) / len(numbers)


def main() -> None:
    """Run all arms."""
    run_all("wrong_digits", ARMS, run)


if __name__ == "__main__":
    main()
