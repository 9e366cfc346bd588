"""The exercises of chapter 15: patches, what a cell sees, pointing, steering, a map that never moves."""
