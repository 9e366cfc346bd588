"""The exercises of chapter 14: masks over steps, alignment against truth, word error, collapsing, padding."""
