import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.image_to_image.ex18_4_where_and_what import EXERCISE, route
from minattn.exercises.judging import judge

# Other right ways: torch's own attention, the book's, einsum, loops, NumPy, and a command in the keys too.


def route_by_torch(patches, places, command, w_query, w_key, w_value):
    query = (places + command.unsqueeze(1)) @ w_query
    key = (places @ w_key).expand(len(patches), -1, -1)
    return F.scaled_dot_product_attention(query, key, patches @ w_value)


def route_by_the_book(patches, places, command, w_query, w_key, w_value):
    query = (places + command[:, None]) @ w_query
    return attend(query, places @ w_key, patches @ w_value)


def route_einsum(patches, places, command, w_query, w_key, w_value):
    asked = places.repeat(len(patches), 1, 1) + command[:, None, :]
    query, key = torch.einsum("bqd,de->bqe", asked, w_query), places @ w_key
    weights = F.softmax(torch.einsum("bqe,ke->bqk", query, key) / math.sqrt(key.shape[1]), dim=2)
    return torch.einsum("bqk,bkd,de->bqe", weights, patches, w_value)


def route_by_loops(patches, places, command, w_query, w_key, w_value):
    key, found = places @ w_key, []
    for picture, told in zip(patches, command, strict=True):
        rows = []
        for place in places:
            weights = (key @ ((place + told) @ w_query) / key.shape[1] ** 0.5).softmax(0)
            rows.append(weights @ picture @ w_value)
        found.append(torch.stack(rows))
    return torch.stack(found)


def route_numpy(patches, places, command, w_query, w_key, w_value):
    patches, places, command, w_query, w_key, w_value = (
        x.numpy() for x in (patches, places, command, w_query, w_key, w_value)
    )
    scores = (places + command[:, None]) @ w_query @ (places @ w_key).T
    weights = np.exp(scores / np.sqrt(w_key.shape[1]))
    return weights / weights.sum(-1, keepdims=True) @ patches @ w_value


def route_with_told_keys(patches, places, command, w_query, w_key, w_value):
    """What the command adds to the keys is the same for all of them, and the softmax does not see it."""
    query, key = ((places + command[:, None]) @ w for w in (w_query, w_key))
    weights = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
    return weights @ (patches @ w_value)


OTHER_WAYS = [
    route_by_torch,
    route_by_the_book,
    route_einsum,
    route_by_loops,
    route_numpy,
    route_with_told_keys,
]


# Wrong ways, written as a learner writes them: the broken function, and ways to mend a part of it.


def broken_route(patches, places, command, w_query, w_key, w_value):
    tokens = patches + places
    query = (tokens + command[:, None]) @ w_query
    key, value = tokens @ w_key, tokens @ w_value
    weights = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
    return weights @ value


def route_with_values_mended(patches, places, command, w_query, w_key, w_value):
    tokens = patches + places
    query = (tokens + command[:, None]) @ w_query
    weights = (query @ (tokens @ w_key).mT / w_key.shape[1] ** 0.5).softmax(-1)
    return weights @ (patches @ w_value)


def route_with_queries_mended(patches, places, command, w_query, w_key, w_value):
    tokens = patches + places
    query = (places + command[:, None]) @ w_query
    key, value = tokens @ w_key, tokens @ w_value
    weights = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
    return weights @ value


def route_with_where_mended(patches, places, command, w_query, w_key, w_value):
    query, key = (places + command[:, None]) @ w_query, places @ w_key
    weights = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
    return weights @ ((patches + places) @ w_value)


def route_by_command_alone(patches, places, command, w_query, w_key, w_value):
    query = (torch.zeros_like(places) + command[:, None]) @ w_query
    weights = (query @ (places @ w_key).mT / w_key.shape[1] ** 0.5).softmax(-1)
    return weights @ (patches @ w_value)


def route_by_place_alone(patches, places, command, w_query, w_key, w_value):
    weights = (places @ w_query @ (places @ w_key).mT / w_key.shape[1] ** 0.5).softmax(-1)
    return weights @ patches @ w_value


def route_with_told_values(patches, places, command, w_query, w_key, w_value):
    query, key = (places + command[:, None]) @ w_query, places @ w_key
    weights = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
    return weights @ ((patches + command[:, None]) @ w_value)


def route_unscaled(patches, places, command, w_query, w_key, w_value):
    query, key = (places + command[:, None]) @ w_query, places @ w_key
    return (query @ key.mT).softmax(-1) @ (patches @ w_value)


def route_along_queries(patches, places, command, w_query, w_key, w_value):
    query, key = (places + command[:, None]) @ w_query, places @ w_key
    return (query @ key.mT / key.shape[-1] ** 0.5).softmax(1) @ (patches @ w_value)


NEAR_MISSES = [
    ("queries_see_content", broken_route),
    ("queries_see_content", route_with_values_mended),
    ("keys_see_content", route_with_queries_mended),
    ("values_carry_places", route_with_where_mended),
    ("places_lost", route_by_command_alone),
    ("command_lost", route_by_place_alone),
    ("command_in_values", route_with_told_values),
    ("not_scaled", route_unscaled),
    ("softmax_over_queries", route_along_queries),
]


# Ways that are wrong in no known way: experiments say what leaks all the same.


def route_with_pooled_queries(patches, places, command, w_query, w_key, w_value):
    """Ask with the mean of the picture too."""
    pooled = patches.mean(1, keepdim=True)
    return route(patches, places, command + pooled[:, 0], w_query, w_key, w_value)


def route_with_bright_keys(patches, places, command, w_query, w_key, w_value):
    query, key = (places + command[:, None]) @ w_query, places @ w_key + (patches @ w_key).tanh()
    weights = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
    return weights @ (patches @ w_value)


def route_with_places_at_the_end(patches, places, *rest):
    return route(patches, places, *rest) + places


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (route_with_pooled_queries, "queries_see_content"),
        (route_with_bright_keys, "keys_see_content"),
        (route_with_places_at_the_end, "values_carry_places"),
    ],
)
def test_a_leak_of_another_kind_is_found_by_experiment(answer, mistake):
    verdict = judge(EXERCISE, answer)
    assert (verdict.kind, verdict.mistake) == ("mistake", mistake), verdict.message
    assert verdict.message.endswith("There is something else besides; mend this first.")
    assert verdict.where.startswith("Found by experiment: ")


def test_no_experiment_finds_anything_in_a_right_answer():
    for answer in (EXERCISE.solution, *OTHER_WAYS):
        for case in EXERCISE.cases():
            assert EXERCISE.locate(answer, case) == ("", "")


def test_experiments_find_all_leaks_of_the_broken_one():
    found, _ = EXERCISE.locate(broken_route, EXERCISE.cases()[0])
    assert [word in found for word in ("query", "key", "places", "command")] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (route_with_values_mended, "query asks depends.* key offers depends"),
        (route_with_queries_mended, ": what a key offers depends.*; places come out"),
        (route_with_where_mended, ": places come out of an empty picture.$"),
        (route_by_command_alone, ": every patch of the answer is the same.$"),
        (route_by_place_alone, ": the command changes nothing.$"),
        (route_with_told_values, ": the command comes out of an empty picture.$"),
        (route_along_queries, ": a picture of equal patches comes out with different ones"),
        (route_unscaled, "^$"),
    ],
)
def test_each_experiment_finds_its_own(answer, found):
    for case in EXERCISE.cases():
        assert re.search(found, EXERCISE.locate(answer, case)[0])


def test_an_answer_that_stops_leaves_nothing_to_say():
    assert EXERCISE.locate(lambda *case: 1 / 0, EXERCISE.cases()[0]) == ("", "")


def test_no_softmax_is_saturated():
    for _, places, command, w_query, w_key, _ in EXERCISE.cases():
        query = (places + command[:, None]) @ w_query
        weights = (query @ (places @ w_key).T / w_key.shape[1] ** 0.5).softmax(-1)
        assert float(weights.max(-1).values.median()) < 0.9
