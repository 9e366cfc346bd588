"""The exercises of the ten-minute check: shapes, a matrix product, a softmax, a gradient."""
