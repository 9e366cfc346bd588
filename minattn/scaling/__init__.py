"""What makes attention cheap, and what spreads it over many machines."""
