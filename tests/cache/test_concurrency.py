"""One cache, many threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import attnscope as at
from tests.cache.texts import cache_of, check_pages_add_up, queries_of, tokens_of


def test_many_threads_attend_at_once() -> None:
    rng = np.random.default_rng(0)
    cache = cache_of(page_tokens=16)
    texts = [tokens_of(rng, tokens) for tokens in (500, 300, 77)]
    sequences = [cache.new_sequence() for _ in texts]
    for sequence, text in zip(sequences, texts, strict=True):
        cache.append(sequence, 0, *text)
    queries = [queries_of(rng, query_len) for query_len in (1, 5, 60, 1, 2, 33, 7, 70)]
    expected = [
        [at.attention(query, key, value, mask=at.Causal()).tobytes() for key, value in texts]
        for query in queries
    ]

    def attend(i: int) -> bool:
        s = i % len(sequences)
        output = cache.attend(sequences[s], 0, queries[i % len(queries)], threads=1 + i % 2)
        return output.tobytes() == expected[i % len(queries)][s]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(attend, range(240)))


def test_sequences_live_their_lives_in_threads_of_their_own() -> None:
    """Each thread appends, forks, truncates, attends and releases, in an arena that grows meanwhile."""
    cache = cache_of(layers=2, page_tokens=4)

    def go_on(text: int, other: int, rng: np.random.Generator) -> bool:
        key, value = tokens_of(rng, 60)
        query = queries_of(rng, 60)
        rows = []
        for t in range(60):
            for layer in range(2):
                cache.append(text, layer, key[:, t : t + 1], value[:, t : t + 1])
                cache.append(other, layer, *tokens_of(rng, 1))
            rows.append(cache.attend(text, t % 2, query[:, t : t + 1], threads=1))
            if t % 7 == 0:
                cache.truncate(other, 25)
        expected = at.attention(query, *cache.stored(text, 0), mask=at.Causal())
        return np.concatenate(rows, axis=1).tobytes() == expected.tobytes()

    def live(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        right = []
        for _ in range(5):
            text = cache.new_sequence()
            prompt = tokens_of(rng, 30)
            for layer in range(2):
                cache.append(text, layer, *prompt)
            other = cache.fork(text)
            right.append(go_on(text, other, rng))
            cache.release(text)
            cache.release(other)
        return all(right)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(live, range(12)))
    assert cache.bytes_used == 0
    check_pages_add_up(cache)
