"""Probing trained models: what attention explains, and what else would (chapter 21)."""
