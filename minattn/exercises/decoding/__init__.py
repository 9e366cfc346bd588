"""The exercises of chapter 7, decoding: one step of a search, length, chance, a cache, and a task of one's own."""
