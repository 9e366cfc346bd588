import torch

OTHER_WAYS = [lambda a, b: a.reshape(-1, 1) - b, lambda a, b: torch.stack([x - b for x in a])]
