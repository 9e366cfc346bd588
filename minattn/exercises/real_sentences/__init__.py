"""The exercises of chapter 9: learning pieces, cutting words, a measure, and a task of one's own."""
