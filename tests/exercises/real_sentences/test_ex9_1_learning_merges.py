import re
from collections import Counter, defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from minattn.exercises import EXERCISES
from minattn.exercises.judging import judge
from minattn.exercises.real_sentences.ex9_1_learning_merges import learn_merges
from minattn.subwords import join, learn_subwords, split_words
from minattn.tasks import message_pairs


def frequencies(counts, merges):
    """Count all pairs after some merges."""
    total = Counter()
    for word, times in counts.items():
        pieces = list(word)
        for pair in merges:
            pieces = join(pieces, pair)
        for pair in pairwise(pieces):
            total[pair] += times
    return total


def test_it_learns_from_the_messages_what_the_package_learns():
    texts = [pair.german for pair in message_pairs().train]
    counts = Counter(word for text in texts for word in split_words(text))
    assert learn_merges(counts, 90) == list(learn_subwords(texts, 90).merges)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 9), max_size=6))
def test_it_learns_what_the_package_learns_until_two_pairs_are_equally_frequent(counts):
    marked = {f"▁{word}": times for word, times in counts.items()}
    texts = [word for word, times in counts.items() for _ in range(times)]
    ours, theirs = learn_merges(marked, 20), learn_subwords(texts, 20).merges
    assert len(ours) <= 20
    for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        total = frequencies(marked, ours[:i])
        assert total[a] == total[b] == max(total.values())
        if a != b:
            return
    assert len(ours) == len(theirs)


# Other right ways: words as strings, as lists, in one long text; counts that are kept up to date.


def learn_with_blanks(counts, n_merges):
    """Keep each word as a string with blanks between the pieces, as the paper does."""
    words = {" ".join(word): times for word, times in counts.items()}
    merges = []
    while len(merges) < n_merges:
        pairs = Counter()
        for word, times in words.items():
            for pair in pairwise(word.split()):
                pairs[pair] += times
        if not pairs:
            break
        best = sorted(pairs, key=lambda pair: (-pairs[pair], pair))[0]
        pattern = re.compile(rf"(?<!\S){re.escape(' '.join(best))}(?!\S)")
        words = {pattern.sub("".join(best), word): times for word, times in words.items()}
        merges.append(best)
    return merges


def learn_from_all_words(counts, n_merges):
    """Write every word down as often as it occurs, and join in place."""
    words = [list(word) for word, times in counts.items() for _ in range(times)]
    merges = []
    for _ in range(n_merges):
        total = defaultdict(int)
        for pieces in words:
            for i in range(len(pieces) - 1):
                total[pieces[i], pieces[i + 1]] += 1
        if len(total) == 0:
            return merges
        most = max(total.values())
        first, second = min(pair for pair in total if total[pair] == most)
        merges.append([first, second])
        for pieces in words:
            i = 0
            while i < len(pieces) - 1:
                if pieces[i] == first and pieces[i + 1] == second:
                    pieces[i : i + 2] = [first + second]
                i += 1
    return merges


def learn_with_kept_counts(counts, n_merges):
    """Mend the counts of words in which something was joined, and leave the others."""
    total, words, merges = Counter(), {word: list(word) for word in counts}, []
    for word, pieces in words.items():
        for pair in pairwise(pieces):
            total[pair] += counts[word]
    for _ in range(n_merges):
        best = max(sorted(total), key=total.get, default=None)
        if best is None or total[best] == 0:
            break
        merges.append(best)
        for word, pieces in words.items():
            if best in pairwise(pieces):
                total.subtract(pair for pair in pairwise(pieces) for _ in range(counts[word]))
                words[word] = join(pieces, best)
                total.update(pair for pair in pairwise(words[word]) for _ in range(counts[word]))
    return merges


def learn_by_itself(counts, n_merges):
    """Let the function call itself with the words as tuples."""
    words = {tuple(word): times for word, times in counts.items()}
    total = Counter()
    for word, times in words.items():
        for pair in pairwise(word):
            total[pair] += times
    if not total or not n_merges:
        return ()
    best = min((-times, pair) for pair, times in total.items())[1]
    joined = {tuple(join(word, best)): times for word, times in words.items()}
    return (best, *learn_by_itself(joined, n_merges - 1))


OTHER_WAYS = [learn_with_blanks, learn_from_all_words, learn_with_kept_counts, learn_by_itself]


# Wrong ways, written as a learner writes them.


def join_pieces(pieces, a, b):
    joined = []
    for piece in pieces:
        if joined and joined[-1] == a and piece == b:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def learn_from_a_list(counts, n_merges):
    """Forget what the numbers are for."""
    words = [list(word) for word in counts]
    merges = []
    while len(merges) < n_merges:
        pairs = Counter(pair for pieces in words for pair in pairwise(pieces))
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [join_pieces(pieces, *best) for pieces in words]
    return merges


def learn_by_max(counts, n_merges):
    """Take what max finds first, and do not think of the end."""
    words = {word: list(word) for word in counts}
    merges = []
    for _ in range(n_merges):
        pairs = Counter()
        for word, pieces in words.items():
            for pair in pairwise(pieces):
                pairs[pair] += counts[word]
        best = max(pairs, key=pairs.get)
        merges.append(best)
        words = {word: join_pieces(pieces, *best) for word, pieces in words.items()}
    return merges


def learn_by_most_common(counts, n_merges):
    words = {word: list(word) for word in counts}
    merges = []
    for _ in range(n_merges):
        pairs = Counter()
        for word, pieces in words.items():
            for pair in pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs:
            break
        merges.append(pairs.most_common(1)[0][0])
        words = {word: join_pieces(pieces, *merges[-1]) for word, pieces in words.items()}
    return merges


def learn_from_most_common(counts, n_merges):
    """Count once, and take the best."""
    pairs = Counter()
    for word, times in counts.items():
        for pair in pairwise(word):
            pairs[pair] += times
    return [pair for pair, _ in pairs.most_common(n_merges)]


def learn_and_drop(counts, n_merges):
    """Join, but into a name that is never read again."""
    words = {word: list(word) for word in counts}
    merges = []
    for _ in range(n_merges):
        pairs = Counter()
        for word, pieces in words.items():
            for pair in pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in words.values():
            pieces = join_pieces(pieces, *best)
    return merges


def learn_as_in_the_paper(counts, n_merges):
    """Replace in strings, without a look at where a piece begins and ends."""
    words = {" ".join(word): times for word, times in counts.items()}
    merges = []
    for _ in range(n_merges):
        pairs = Counter()
        for word, times in words.items():
            for pair in pairwise(word.split()):
                pairs[pair] += times
        if not pairs:
            break
        a, b = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((a, b))
        words = {word.replace(f"{a} {b}", a + b): times for word, times in words.items()}
    return merges


def learn_up_to_n(counts, n_merges):
    words = {word: list(word) for word in counts}
    merges = []
    while len(merges) <= n_merges:
        pairs = Counter()
        for word, pieces in words.items():
            for pair in pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs:
            break
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        words = {word: join_pieces(pieces, *merges[-1]) for word, pieces in words.items()}
    return merges


NEAR_MISSES = [
    ("counts_ignored", learn_from_a_list),
    ("first_met", learn_by_most_common),
    ("counted_once", learn_from_most_common),
    ("never_joined", learn_and_drop),
    ("inside_a_piece", learn_as_in_the_paper),
    ("one_too_many", learn_up_to_n),
]


def test_of_two_mistakes_the_one_that_shows_first_is_told():
    verdict = judge(EXERCISES["9.1"], learn_by_max)
    assert verdict.mistake == "first_met"
    assert verdict.message.endswith("There is something else besides; mend this first.")
