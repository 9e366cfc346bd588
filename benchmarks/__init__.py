"""Time and memory beside other libraries: a module a part, each with a function `measure`."""

PARTS = (
    "attention",
    "forms",
    "machines",
    "layers",
    "recurrent",
    "decoding",
    "training",
    "course",
)
