"""The exercises of chapter 6: the parts of a Transformer, a part that does not learn, and the whole of it."""
