"""Neighbours, copies, clusters and rarity on vectors that can be checked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from minimix.cells import EXACT_BELOW
from minimix.cluster import group_similar, similarity_floor
from minimix.cover import TOGETHER, cover
from minimix.dedupe import drop_exact_copies, drop_near_copies
from minimix.errors import DataError
from minimix.neighbours import nearest, nearest_in
from minimix.plan import Outlook, by_worth, describe, odds, outlook, plan
from minimix.rarity import rarity, scaled
from minimix.records import Cluster, Place, Sample, Vectors
from minimix.threads import spread

EAST, NORTH = (1.0, 0.0), (0.0, 1.0)


def unit(*degrees: float) -> Vectors:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def random_units(rows: int, width: int = 24) -> Vectors:
    vectors = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / norms


def sample(prompt: str, response: str, line: int = 1) -> Sample:
    return Sample(prompt, response, (Place("f", line, 0, ""),))


def test_the_nearest_row_is_the_one_with_the_smallest_angle():
    rows, cosines = nearest(unit(0, 10, 50), count=1)
    assert rows.ravel().tolist() == [1, 0, 1]
    assert cosines[0, 0] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)


def test_a_row_is_not_its_own_neighbour_even_among_copies_of_it():
    rows, _ = nearest(np.repeat(unit(0), 4, axis=0), count=3)
    assert all(row not in near for row, near in enumerate(rows.tolist()))


def test_more_neighbours_than_rows_are_refused():
    with pytest.raises(DataError, match="more than 3 rows"):
        nearest(unit(0, 1, 2), count=3)
    with pytest.raises(DataError, match="found only 2 rows"):
        nearest_in(unit(0), unit(0, 1), count=3)


def test_the_nearest_are_the_same_in_blocks_of_any_size(monkeypatch):
    vectors = random_units(50)
    whole, cosines = nearest_in(vectors[:9], vectors, count=3)
    monkeypatch.setattr("minimix.neighbours.COSINES", 2 * len(vectors))
    rows, again = nearest_in(vectors[:9], vectors, count=3)
    assert np.array_equal(rows, whole)
    assert again == pytest.approx(cosines, abs=1e-6)


def topics(rows: int, width: int = 64) -> Vectors:
    """Rows scattered round 200 directions, as texts about 200 subjects are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, width))[rng.integers(0, 200, rows)]
    vectors = (centres + 0.7 * rng.normal(size=(rows, width))).astype(np.float32)
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / norms


def test_cells_find_nearly_all_that_exact_search_finds():
    vectors = topics(EXACT_BELOW + 100)
    found, cosines = nearest(vectors, count=10)
    exact, _ = nearest_in(vectors, vectors, count=10, skip_self=True)
    shared = [len({*one} & {*two}) for one, two in zip(found.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) / 10 > 0.95
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert np.allclose(
        cosines[:, 3], np.einsum("nd,nd->n", vectors, vectors[found[:, 3]]), atol=1e-6
    )


def test_neighbours_are_the_same_to_the_bit_however_many_threads_look(monkeypatch):
    vectors = topics(EXACT_BELOW + 100)
    monkeypatch.setattr("minimix.threads.cores", lambda: 4)
    found = []
    for threads in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(nearest(vectors, count=5))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


@pytest.mark.slow
def test_every_row_has_real_neighbours_even_where_nearly_all_rows_are_the_same():
    vectors = np.repeat(random_units(1), EXACT_BELOW + 100, axis=0)
    vectors[:40] = random_units(41)[1:]
    rows, cosines = nearest(vectors, count=40)
    assert all(len({*near, row}) == 41 for row, near in enumerate(rows.tolist()))
    assert cosines.min() >= -1
    assert cosines[-1] == pytest.approx(np.ones(40), abs=1e-6)


@pytest.mark.parametrize("said", ["4,2", "two", "", "0"])
def test_whatever_the_number_of_threads_is_said_to_be_the_work_is_done(said, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert list(spread(abs, [-1, 2, -3])) == [1, 2, 3]


def test_equal_neighbours_go_by_their_number():
    rows, _ = nearest_in(unit(0), unit(10, -10, 0, 10, -10), count=3)
    assert rows.tolist() == [[2, 0, 1]]


def test_the_lone_point_is_the_rarest():
    vectors = np.array([EAST, EAST, NORTH, EAST], dtype=np.float32)
    assert rarity(vectors, neighbours=2).tolist() == [0, 0, 1, 0]
    assert scaled(np.array([2.0, 4.0, 3.0], dtype=np.float32)).tolist() == [0, 1, 0.5]


def test_an_exact_copy_goes_and_names_the_one_that_stays():
    kept, dropped = drop_exact_copies(
        [sample("a?", "one", 1), sample("b?", "two", 2), sample(" a? ", "one ", 3)]
    )
    assert kept == [0, 1]
    assert (dropped[0].place.line, dropped[0].reason) == (3, "exact copy of f:1")


def test_of_two_near_copies_the_longer_answer_stays():
    samples = [sample("a?", "one", 1), sample("a?", "one, at length", 2), sample("b?", "two", 3)]
    kept, dropped = drop_near_copies(samples, unit(0, 1, 90), min_similarity=0.95, seed=0)
    assert kept == [1, 2]
    assert dropped[0].place.line == 1
    assert dropped[0].reason.startswith("f:2 is as good")


def test_samples_with_other_numbers_are_no_copies():
    samples = [sample("What is 2 + 3?", "5"), sample("What is 2 + 4?", "6")]
    assert drop_near_copies(samples, unit(0, 1), min_similarity=0.9, seed=0)[0] == [0, 1]


def test_many_copies_of_one_row_leave_one():
    samples = [sample("a?", "one" + "." * n, n + 1) for n in range(30)]
    vectors = np.repeat(unit(0), 30, axis=0)
    kept, dropped = drop_near_copies(samples, vectors, min_similarity=0.95, seed=0)
    assert (kept, len(dropped)) == ([29], 29)


def test_a_crowd_of_equal_rows_leaves_one_at_once():
    samples = [sample("a?", "one", n) for n in range(2 * TOGETHER + 1)]
    vectors = np.repeat(unit(0), len(samples), axis=0)
    kept, dropped = drop_near_copies(samples, vectors, min_similarity=0.95, seed=0)
    assert (kept, len(dropped)) == ([0], 2 * TOGETHER)


def test_a_crowd_with_other_numbers_hides_no_copy():
    samples = [sample(f"What is {n} + 1?", "a sum") for n in [*range(40), 7]]
    kept, dropped = drop_near_copies(
        samples, np.repeat(unit(0), 41, axis=0), min_similarity=0.95, seed=0
    )
    assert kept == [*range(40)]
    assert len(dropped) == 1


def test_a_row_that_is_near_only_one_that_goes_stays():
    of, cosines = cover(unit(0, 10, 20), [np.arange(3)], min_similarity=0.98, seed=0)
    assert of.tolist() == [0, 0, 2]
    assert cosines == pytest.approx([1, np.cos(np.radians(10)), 1])


def test_the_best_of_several_near_rows_covers_a_row_and_only_in_its_group():
    groups = [np.array([3, 0, 1]), np.array([2, 4])]
    of, _ = cover(unit(2, 20, 0, 5, 90), groups, min_similarity=0.98, seed=0)
    assert of.tolist() == [3, 1, 2, 3, 4]


def covered_one_by_one(vectors: Vectors, least: float) -> list[int]:
    of = np.arange(len(vectors))
    for row, vector in enumerate(vectors):
        if of[row] == row:
            near = (vectors[row:] @ vector >= least) & (of[row:] == np.arange(row, len(of)))
            of[row:][near] = row
    return of.tolist()


@pytest.mark.parametrize("rows", [TOGETHER + 100, EXACT_BELOW + 100])
def test_of_many_rows_those_stay_that_stay_one_by_one(rows):
    vectors = topics(rows)
    of, cosines = cover(vectors, [np.arange(rows)], min_similarity=0.8, seed=0)
    assert of.tolist() == covered_one_by_one(vectors, 0.8)
    assert 0.05 < (of != np.arange(rows)).mean() < 0.95
    assert cosines == pytest.approx(np.einsum("nd,nd->n", vectors, vectors[of]).tolist(), abs=1e-5)


def test_what_covers_a_row_is_the_same_to_the_bit_however_many_threads_look(monkeypatch):
    vectors = topics(EXACT_BELOW + 100)
    groups = [np.arange(EXACT_BELOW), EXACT_BELOW + np.arange(100)]
    monkeypatch.setattr("minimix.threads.cores", lambda: 4)
    found = []
    for threads in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(cover(vectors, groups, min_similarity=0.8, seed=0))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


def test_the_better_rated_of_two_near_copies_stays_however_short():
    samples = [replace(sample("a?", "one"), rating=5.0), sample("a?", "one, at length")]
    assert drop_near_copies(samples, unit(0, 1), min_similarity=0.95, seed=0)[0] == [0]


def test_samples_under_other_system_prompts_are_no_copies():
    samples = [replace(sample("a?", "one"), system=system) for system in ("be kind", "be curt")]
    assert drop_near_copies(samples, unit(0, 0), min_similarity=0.95, seed=0)[0] == [0, 1]


def test_similar_rows_meet_and_strangers_stay_alone():
    clusters = group_similar(unit(0, 2, 90, 180), groups=[0] * 4, floor=0.9, seed=0)
    assert [cluster.rows for cluster in clusters] == [(0, 1)]
    assert clusters[0].similarity == pytest.approx(np.cos(np.radians(2)), abs=1e-5)


def test_rows_of_another_group_never_meet():
    clusters = group_similar(unit(0, 1, 2, 3), groups=["a", "b", "a", "b"], floor=0.9, seed=0)
    assert [cluster.rows for cluster in clusters] == [(0, 2), (1, 3)]


def test_clusters_have_2_to_5_rows_and_no_pair_below_the_floor():
    vectors = unit(*np.linspace(0, 40, 60))
    clusters = group_similar(vectors, groups=[0] * 60, floor=0.995, seed=0)
    rows = [row for cluster in clusters for row in cluster.rows]
    assert len(rows) == len(set(rows))
    for cluster in clusters:
        block = vectors[list(cluster.rows)]
        assert 2 <= len(cluster.rows) <= 5
        assert (block @ block.T).min() >= 0.995


def test_one_row_or_none_makes_no_cluster():
    assert group_similar(unit(0), groups=[0], floor=0.0, seed=0) == []


def test_a_handful_of_rows_makes_no_absurd_floor():
    assert similarity_floor(unit(0, 90), seed=0) == pytest.approx(0.35)
    assert similarity_floor(unit(0, 0, 0), seed=0) == pytest.approx(0.8)


def test_the_floor_lies_above_unrelated_pairs_and_related_ones_do_not_raise_it():
    strangers = random_units(400, 384)
    alone = similarity_floor(strangers, seed=0)
    twins = np.concatenate([strangers[:40], strangers[:40], strangers[:40]])
    assert alone == pytest.approx(0.35, abs=0.01)
    assert similarity_floor(twins, seed=0) == pytest.approx(alone, abs=0.05)


MARS = [sample("When did Mars form?", "Long ago."), sample("When did Mars form?", "4.5 Gyr ago.")]
MIXED = [sample("When did Mars form?", "Long ago."), sample("Who baked this bread?", "A baker.")]
PAIRS = [Cluster((0, 1), 0.6), Cluster((2, 3), 0.6)]


def known(samples: list[Sample], rarity: list[float], ratings: list[float]) -> Outlook:
    one, two = (np.array(numbers, dtype=np.float32) for numbers in (rarity, ratings))
    return outlook(PAIRS, samples, rarity=one, ratings=two)


def test_the_plan_puts_rows_that_ask_the_same_first():
    assert plan(known([*MIXED, *MARS], [0.5] * 4, [2] * 4), {}) == [1, 0]
    assert plan(known([*MARS, *MIXED], [0.5] * 4, [2] * 4), {}) == [0, 1]


def test_the_plan_puts_the_rarer_and_the_better_rated_of_equals_first():
    assert plan(known([*MARS, *MARS], [0.5, 0.5, 0.6, 0.6], [2] * 4), {}) == [1, 0]
    assert plan(known([*MARS, *MARS], [0.5] * 4, [1, 2, 1, 3]), {}) == [1, 0]
    assert plan(known([*MARS, *MARS], [0.5] * 4, [2] * 4), {}) == [0, 1]


def test_a_cluster_that_had_its_turn_is_in_the_plan_no_more():
    assert plan(known([*MARS, *MARS], [0.5] * 4, [2] * 4), {0: True}) == [1]


def test_without_clusters_there_is_nothing_to_plan():
    none = np.zeros(2, dtype=np.float32)
    nothing = outlook([], MARS, rarity=none, ratings=none)
    assert plan(nothing, {}) == []
    assert odds(nothing, {}).tolist() == []


def test_odds_begin_near_two_in_ten_and_learn_what_is_accepted():
    rng = np.random.default_rng(0)
    signs = np.column_stack([np.ones(400), rng.standard_normal((400, 5))])
    flat = np.ones(400, dtype=np.float32)
    seen = Outlook(flat, flat, signs)
    assert odds(seen, {}).mean() == pytest.approx(0.2, abs=0.03)
    short = signs[:, 4] < 0  # this distiller manages clusters of few words, whatever they ask
    learnt = odds(seen, {row: bool(short[row]) for row in range(100)})
    assert learnt[100:][short[100:]].mean() > 0.8
    assert learnt[100:][~short[100:]].mean() < 0.25


def test_odds_stay_between_0_and_1_where_nothing_at_all_is_accepted():
    signs = np.column_stack([np.ones(50), np.zeros((50, 5))])
    flat = np.ones(50, dtype=np.float32)
    learnt = odds(Outlook(flat, flat, signs), dict.fromkeys(range(40), False))
    assert (learnt > 0).all()
    assert (learnt < 0.02).all()


def test_groups_of_the_plan_go_by_worth_and_say_what_became_of_them():
    seen = known([*MIXED, *MARS], [0.5, 0.5, 0.7, 0.9], [1, 2, 3, 2])
    groups = by_worth(seen, {1: True}, groups=5)
    assert groups == [[1], [0]]
    best, other = describe(seen, {1: True}, groups)
    assert (best.clusters, best.written, best.accepted) == (1, 1, 1)
    assert best.rating == 3.0
    assert best.rarity == pytest.approx(0.8)
    assert (other.written, other.accepted, other.rating) == (0, 0, 2.0)
    assert other.odds < best.odds
