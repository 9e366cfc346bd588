"""Chapters about pictures."""
