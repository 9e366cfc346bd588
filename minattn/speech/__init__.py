"""Attention over sound: where in it is a word?"""
