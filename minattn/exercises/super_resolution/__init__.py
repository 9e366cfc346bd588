"""The exercises of chapter 17: a row asks a row, disparity from weights, signal to noise, windows that move."""
