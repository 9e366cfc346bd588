"""The part on language: models that read and write text."""
