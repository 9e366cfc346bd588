"""The exercises of chapter 4: self-attention, positions, writing on, dropped weights, and a leaking model."""
