"""The exercises of chapter 11: hiding tokens, their loss, a digit changed, a model that reads nothing."""
