"""The exercises of chapter 6: the parts of a Transformer, a decoder that sees the future, and the whole of it."""
