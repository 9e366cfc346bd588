"""The exercises of chapter 16: boxes, matching, the set loss, padded pictures, and three faults of a detector."""
