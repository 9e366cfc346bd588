"""Attention over pictures: which part of one is a word, or a thing, about?"""
