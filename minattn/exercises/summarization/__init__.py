"""The exercises of chapter 13: a mixture of two ways, new words, ROUGE, a summarizer that cannot copy."""
