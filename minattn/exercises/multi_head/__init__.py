"""The exercises of chapter 5: heads split, run, taken out, counted, masked, shared and switched off."""
