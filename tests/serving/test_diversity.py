"""Varied lists equal those of a slow loop, and scores still say why a row stands where it does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import InputFault
from recsys.serving import diversity
from recsys.serving.categories import ItemCategories, categorised
from recsys.serving.diversity import DiversitySettings
from recsys.serving.reranking import Ranked

ITEMS, CODES = 30, 4


def ranked_of(scores: list[float]) -> Ranked:
    """One user to whom item n has the nth score, in one term."""
    own = np.array([scores])
    return Ranked(np.arange(len(scores))[None], own, own[..., None])


def unit(vectors: list[list[float]]) -> np.ndarray:
    return np.array(vectors, np.float32)


def test_mmr_golden() -> None:
    # relevance 1, 0.5, 0, each half. The first is item 0; then item 1, which is like it, has
    # 0.25 - 0.5 * 1 and item 2, which is not, 0 - 0.5 * 0. Item 1 falls from 3 to item 2's 2.
    vectors = unit([[1, 0], [1, 0], [0, 1]])
    rules = DiversitySettings(mmr=0.5)
    ranked = diversity.diversify(ranked_of([4.0, 3, 2]), 3, rules, vectors, None, None)
    assert ranked.rows.tolist() == [[0, 2, 1]]
    assert ranked.scores.tolist() == [[4, 2, 2]]
    assert ranked.terms.tolist() == [[[4, 0], [2, 0], [3, -1]]]


def test_unlike_beats_merely_different() -> None:
    # with mmr 1 only the cosine counts; below 0 it does too: item 2 is opposite, item 1 at right
    # angles. To both that stand above, item 3 has 0.6 and item 1 has 0.
    vectors = unit([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]])
    rules = DiversitySettings(mmr=1)
    ranked = diversity.diversify(ranked_of([4.0, 3, 2, 1]), 4, rules, vectors, None, None)
    assert ranked.rows.tolist() == [[0, 2, 1, 3]]


def test_cap_golden() -> None:
    # one of each category: item 0 (a), item 2 (b), item 3 (none); items 1 and 4 exceed the cap and
    # come last, in their order
    known = categorised([["a"], ["a"], ["b"], [], ["a", "b"]])
    rules = DiversitySettings(category_cap=1)
    ranked = diversity.diversify(ranked_of([5.0, 4, 3, 2, 1]), 5, rules, np.eye(5), known, None)
    assert ranked.rows.tolist() == [[0, 2, 3, 1, 4]]
    assert ranked.scores.tolist() == [[5, 3, 2, 2, 1]]
    assert ranked.terms[0, :, 1].tolist() == [0, 0, 0, -2, 0]


def test_calibration_golden() -> None:
    # three quarters a, one quarter b. First a: 3/4 log 1 + 1/4 log 0.0025 = -1.5 is more than b's
    # 3/4 log 0.0075 = -3.7. Then b: log of 1/2 each, -0.7, is more than a again, -1.5. Then a, a.
    known = categorised([["a"], ["a"], ["a"], ["a"], ["b"], ["b"]])
    rules, taste = DiversitySettings(calibration=1), np.array([[0.75, 0.25]])
    ranked = diversity.diversify(ranked_of([6.0, 5, 4, 3, 2, 1]), 4, rules, np.eye(6), known, taste)
    assert ranked.rows.tolist() == [[0, 4, 1, 2]]
    assert ranked.terms[0, :, 1].tolist() == [0, 0, -3, -2]


def test_without_a_history_calibration_changes_nothing() -> None:
    known = categorised([["a"], ["b"], []])
    rules = DiversitySettings(calibration=0.9)
    for taste in (None, np.zeros((1, 2))):
        ranked = diversity.diversify(ranked_of([3.0, 2, 1]), 3, rules, np.eye(3), known, taste)
        assert ranked.rows.tolist() == [[0, 1, 2]]
        assert not ranked.terms[..., 1].any()


def test_what_ties_keeps_its_order() -> None:
    # all have the same score, and none is like another
    rules = DiversitySettings(mmr=0.7)
    ranked = Ranked(np.array([[2, 5, 7]]), np.ones((1, 3)), np.ones((1, 3, 1)))
    found = diversity.diversify(ranked, 3, rules, np.eye(8, dtype=np.float32), None, None)
    assert found.rows.tolist() == [[2, 5, 7]]


def test_only_the_pool_is_looked_at() -> None:
    # item 3 is the only one unlike item 0, but stands behind the pool of three
    vectors = unit([[1, 0], [1, 0], [1, 0], [0, 1]])
    for pool, second in ((3, 1), (4, 3)):
        rules = DiversitySettings(mmr=0.9, pool=pool)
        found = diversity.diversify(ranked_of([4.0, 3, 2, 1]), 2, rules, vectors, None, None)
        assert found.rows.tolist() == [[0, second]]


def test_a_list_longer_than_the_pool_is_filled() -> None:
    rules = DiversitySettings(mmr=0.5, pool=1)
    found = diversity.diversify(ranked_of([4.0, 3, 2]), 3, rules, np.eye(3), None, None)
    assert found.rows.tolist() == [[0, 1, 2]]


def test_the_scale_of_the_scores_changes_nothing() -> None:
    ranked, vectors, known, taste = drawn(0, 20, 12)
    rules = DiversitySettings(mmr=0.3, calibration=0.3)
    scaled = Ranked(ranked.rows, ranked.scores * 8 + 64, ranked.terms)
    found = [diversity.diversify(one, 6, rules, vectors, known, taste) for one in (ranked, scaled)]
    np.testing.assert_array_equal(found[0].rows, found[1].rows)


@pytest.mark.parametrize("rule", ["category_cap", "calibration"])
def test_categories_must_be_known(rule: str) -> None:
    rules = DiversitySettings.model_validate({rule: 1})
    with pytest.raises(InputFault, match="asks for categories"):
        diversity.diversify(ranked_of([1.0]), 1, rules, np.eye(1), None, None)


def test_rounding_never_lets_a_score_rise() -> None:
    # 1e9 and 0.1 cannot be told apart to the last bit by a difference
    random = np.random.default_rng(0)
    terms = random.normal(size=(200, 9, 8)) * 10.0 ** random.integers(-9, 10, (200, 9, 8))
    rows = np.tile(np.arange(9), (200, 1))
    order = np.argsort(-terms.sum(axis=-1), axis=1)
    terms = np.take_along_axis(terms, order[..., None], 1)
    vectors = random.normal(size=(9, 3)).astype(np.float32)
    ranked = Ranked(rows, terms.sum(axis=-1), terms)
    found = diversity.diversify(ranked, 9, DiversitySettings(mmr=1), vectors, None, None)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    np.testing.assert_array_equal(found.scores, found.terms.sum(axis=-1))


def test_more_users_than_a_block() -> None:
    ranked, vectors, known, taste = drawn(1, 2 * diversity.BLOCK + 3, 12)
    rules = DiversitySettings(mmr=0.3, category_cap=2, calibration=0.3)
    found = diversity.diversify(ranked, 5, rules, vectors, known, taste)
    for user in (0, diversity.BLOCK - 1, diversity.BLOCK, len(taste) - 1):
        one = slice(user, user + 1)
        alone = Ranked(ranked.rows[one], ranked.scores[one], ranked.terms[one])
        expected = diversity.diversify(alone, 5, rules, vectors, known, taste[one])
        np.testing.assert_array_equal(found.rows[one], expected.rows)
        np.testing.assert_array_equal(found.terms[one], expected.terms)


def drawn(
    seed: int, users: int, width: int
) -> tuple[Ranked, np.ndarray, ItemCategories, np.ndarray]:
    """Ranked lists of random items, some lists short, with vectors, categories and tastes."""
    random = np.random.default_rng(seed)
    rows = np.stack([random.permutation(ITEMS)[:width] for _ in range(users)])
    terms = random.normal(size=(*rows.shape, 3))
    there = np.arange(width) < random.integers(0, width + 1, (users, 1))
    scores = np.where(there, terms.sum(axis=-1), -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")
    terms = np.take_along_axis(np.where(there[..., None], terms, 0), order[..., None], 1)
    ranked = Ranked(
        np.take_along_axis(np.where(there, rows, -1), order, 1),
        np.take_along_axis(scores, order, 1),
        terms,
    )
    vectors = random.normal(size=(ITEMS, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [random.choice(list("abcd"), random.integers(0, 3)).tolist() for _ in range(ITEMS)]
    known = categorised([*names[:-1], list("abcd")])
    taste = random.dirichlet(np.full(CODES, 0.5), users) * (random.random((users, 1)) < 0.8)
    return ranked, vectors, known, taste


def codes_of(known: ItemCategories, row: int) -> list[int]:
    return known.codes[known.offsets[row] : known.offsets[row + 1]].tolist()


def divergence(taste: np.ndarray, listed: list[int], known: ItemCategories) -> float:
    """KL(p || q) as Steck (2018) writes it."""
    mix = np.zeros(CODES)
    for row in listed:
        for code in codes_of(known, row):
            mix[code] += 1 / len(codes_of(known, row)) / len(listed)
    smooth = 0.99 * mix + 0.01 * taste
    return sum(p * math.log(p / q) for p, q in zip(taste, smooth, strict=True) if p > 0)


def slow_values(
    pool: dict[int, float], listed: list[int], rules: DiversitySettings, vectors: np.ndarray,
    known: ItemCategories, taste: np.ndarray,
) -> dict[int, float]:  # fmt: skip
    """By item that may be next: what is to be greatest. `pool` has all items' scores."""
    best, last = max(pool.values()), min(pool.values())
    left = [row for row in pool if row not in listed]
    full = {
        code for code in range(CODES)
        if sum(code in codes_of(known, row) for row in listed) >= rules.category_cap > 0
    }  # fmt: skip
    free = [row for row in left if not full & set(codes_of(known, row))]
    values = {}
    for row in free or left:
        relevance = (pool[row] - last) / (best - last) if best > last else 0.0
        likeness = max((float(vectors[row] @ vectors[other]) for other in listed), default=0.0)
        values[row] = (
            (1 - rules.mmr) * (1 - rules.calibration) * relevance
            - rules.mmr * likeness
            - rules.calibration * divergence(taste, [*listed, row], known)
        )
    return values


RULES = st.builds(
    DiversitySettings,
    mmr=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    category_cap=st.integers(0, 3),
    calibration=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    pool=st.integers(1, 14),
)


@settings(max_examples=80)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14), RULES)
def test_each_place_has_the_best_of_a_slow_loop(
    seed: int, width: int, k: int, rules: DiversitySettings
) -> None:
    ranked, vectors, known, taste = drawn(seed, 4, width)
    found = diversity.diversify(ranked, k, rules, vectors, known, taste)
    for user, rows in enumerate(found.rows):
        pairs = zip(ranked.rows[user].tolist(), ranked.scores[user].tolist(), strict=True)
        pool = {row: score for row, score in list(pairs)[: max(k, rules.pool)] if row >= 0}
        if not rules.enabled:
            assert rows.tolist() == ranked.rows[user, :k].tolist()
            continue
        assert (rows >= 0).sum() == min(k, len(pool))
        for place in range(min(k, len(pool))):
            values = slow_values(pool, rows[:place].tolist(), rules, vectors, known, taste[user])
            assert values[rows[place]] >= max(values.values()) - 1e-6


@settings(max_examples=80)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14), RULES)
def test_scores_fall_and_are_the_sum_of_their_columns(
    seed: int, width: int, k: int, rules: DiversitySettings
) -> None:
    ranked, vectors, known, taste = drawn(seed, 5, width)
    found = diversity.diversify(ranked, k, rules, vectors, known, taste)
    there = found.rows >= 0
    assert found.rows.shape == (5, min(k, width))
    np.testing.assert_array_equal(found.terms.sum(axis=-1)[there], found.scores[there])
    assert np.isneginf(found.scores[~there]).all()
    assert (found.scores[:, 1:] <= found.scores[:, :-1]).all()
    assert (there[:, 1:] <= there[:, :-1]).all()
    if not rules.enabled:
        return
    assert (found.terms[..., -1] <= 0).all()
    for user, place in zip(*np.nonzero(there), strict=True):
        before = np.flatnonzero(ranked.rows[user] == found.rows[user, place])
        assert len(before) == 1
        own = found.terms[user, place, :-1]
        np.testing.assert_array_equal(own, ranked.terms[user, before[0]])
        least = found.terms[user, : place + 1, :-1].sum(axis=-1).min()
        np.testing.assert_allclose(found.scores[user, place], least, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14))
def test_with_all_rules_off_lists_are_only_cut(seed: int, width: int, k: int) -> None:
    ranked, vectors, known, taste = drawn(seed, 3, width)
    found = diversity.diversify(ranked, k, DiversitySettings(), vectors, known, taste)
    np.testing.assert_array_equal(found.rows, ranked.rows[:, :k])
    np.testing.assert_array_equal(found.scores, ranked.scores[:, :k])
    np.testing.assert_array_equal(found.terms, ranked.terms[:, :k])


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 8), RULES)
def test_a_short_list_begins_a_long_one(seed: int, k: int, rules: DiversitySettings) -> None:
    ranked, vectors, known, taste = drawn(seed, 3, 12)
    rules = rules.model_copy(update={"pool": 12})
    short = diversity.diversify(ranked, k, rules, vectors, known, taste)
    long = diversity.diversify(ranked, k + 4, rules, vectors, known, taste)
    np.testing.assert_array_equal(short.rows, long.rows[:, :k])
    np.testing.assert_array_equal(short.terms, long.terms[:, :k])
