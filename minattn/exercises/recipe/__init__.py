"""The exercises of chapter 7, training: smoothed labels, a batch in parts, a score, and cutting words."""
