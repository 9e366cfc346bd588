"""What makes attention cheap: attention block by block. Its chapter is still to come."""
