"""The exercises of chapter 3: scaled dot products, masks, who asks, the gradient, and a law that finds a bug."""
