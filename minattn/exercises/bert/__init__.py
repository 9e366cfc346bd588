"""The exercises of chapter 11: hiding tokens, the loss of the hidden ones, a wrong digit found without labels."""
