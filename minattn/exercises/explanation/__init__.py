"""The exercises of chapter 21: rollout, norms of what is added, leave-one-out, and other weights."""
