"""The exercises of chapter 1: padding, the recurrent step, the shift, the loss, greedy translation."""
