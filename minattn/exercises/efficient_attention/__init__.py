"""The exercises of chapter 22: one more block, running sums, windows at every corner, and a cache in 8 bits."""
