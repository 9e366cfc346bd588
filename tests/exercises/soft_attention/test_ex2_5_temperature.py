# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def temperature_log(weights, temperature):
    return (weights.log() / temperature).softmax(-1)


OTHER_WAYS = [temperature_log]


# Wrong ways, written as a learner writes them.


def temperature_clamped(weights, temperature):
    scores = weights.clamp(min=1e-12).log() / temperature
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def temperature_epsilon(weights, temperature):
    return ((weights + 1e-9).log() / temperature).softmax(-1)


NEAR_MISSES = [
    ("zero_lifted", temperature_clamped),
    ("zero_lifted", temperature_epsilon),
]
