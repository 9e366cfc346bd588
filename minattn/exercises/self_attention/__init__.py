"""The exercises of chapter 4: a set, positions, writing on, dropped weights, and a leaking model."""
