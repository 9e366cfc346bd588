"""The exercises of chapter 7: smoothed labels, one step of AdamW, a batch in parts, a part that does not learn."""
