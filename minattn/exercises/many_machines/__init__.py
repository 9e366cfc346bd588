"""The exercises of chapter 23: merged parts, a ring that moves, a zigzag, a mean of means, and the way back."""
