"""The exercises of chapter 20: patches as codes, k-means, guidance, and three faults of a drawing model's batch."""
