"""The exercises of chapter 18: where a patch comes from, patches back into a picture, colours from dots, leaks."""
