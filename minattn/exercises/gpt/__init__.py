"""The exercises of chapter 10: bits per character, smeared keys, prompts of different lengths, a wrong cache."""
