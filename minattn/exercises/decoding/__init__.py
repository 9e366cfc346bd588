"""The exercises of chapter 8: the score of a sentence, chance, beam search with its parts, and a cache."""
