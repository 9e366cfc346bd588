"""Language: models that go on with a text, fill its gaps, or rewrite it."""
