"""The exercises of chapter 3: a lookup by hand, masks, a permutation test, a gradient, and a law that finds a bug."""
