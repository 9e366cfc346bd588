import numpy as np

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def softmax_numpy(scores):
    e = np.exp(scores.numpy())
    return e / e.sum(axis=1, keepdims=True)


OTHER_WAYS = [softmax_numpy, lambda s: s.double().softmax(1), lambda s: s.T.softmax(0).T]
