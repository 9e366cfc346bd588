"""The exercises of chapter 2: kernel regression, weights, scores, and attention that only looks like it."""
