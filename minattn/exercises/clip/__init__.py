"""The exercises of chapter 19: the contrastive loss, doubles in it, attention pooling, and targets of one's own."""
