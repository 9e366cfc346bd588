"""Sound and pictures: pictures."""
