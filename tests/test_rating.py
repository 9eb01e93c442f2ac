"""Raters: what they see, what they learn, what they say of themselves, and how they are kept."""

import contextlib
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix import static
from minimix.errors import ConfigError, DataError
from minimix.rating import BUNDLED, fit, fitting, knn_bayes, learnt, open_rater
from minimix.rating.agreement import Agreement, agree, auc, preferred, read_agreement, spearman
from minimix.rating.features import character_counts, features
from minimix.rating.noise import diagnose
from minimix.rating.store import Stored, load, save
from minimix.records import Place, Sample, Vectors
from tests.fakes import sample

AXES = np.eye(6, dtype=np.float32)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60)


def crowd(classes: list[int], spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows near the axis of their class, and the classes."""
    noise = np.random.default_rng(0).normal(size=(len(classes), 6)).astype(np.float32)
    return static.unit(AXES[classes] + spread * noise), np.array(classes)


# what raters see


def test_letters_words_numbers_and_list_lines_are_counted():
    (row,) = np.expm1(character_counts(["Ab 1.\n- x 23"]))[:, :13]
    names = "capitals small digits newlines blanks ends commas brackets quotes dashes signs others"
    assert dict(zip([*names.split(), "words"], row.round().tolist(), strict=True)) == {
        "capitals": 1, "small": 2, "digits": 3, "newlines": 1, "blanks": 3, "ends": 1, "commas": 0,
        "brackets": 0, "quotes": 0, "dashes": 1, "signs": 0, "others": 0, "words": 5,
    }  # fmt: skip
    numbers, items = np.expm1(character_counts(["Ab 1.\n- x 23"])[0, 15:17])
    assert (round(numbers), round(items)) == (2, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_what_is_seen_of_a_sample_does_not_depend_on_its_neighbours(texts):
    samples = [sample(prompt, response) for prompt, response in texts]
    together, alone = features(samples), [features([one]) for one in samples]
    assert np.isfinite(together.dense()).all()
    for row, one in enumerate(alone):
        assert np.allclose(together.counts[row], one.counts[0], atol=1e-5)
        assert np.allclose(together.vectors[row], one.vectors[0], atol=1e-5)


def test_no_samples_give_no_rows():
    assert features([]).counts.shape == (0, 106)
    assert open_rater().rate([]).shape == (0,)


def test_word_vectors_know_what_is_near():
    cat, kitten, bond = static.embed(["a cat sleeps", "the kitten naps", "government bonds fell"])
    assert cat @ kitten > 0.4 > 0.2 > cat @ bond


# kNN-Bayes


def test_a_sample_among_fours_is_rated_four_and_among_zeros_zero():
    library = knn_bayes.fit(*crowd([0] * 40 + [4] * 40))
    rated = knn_bayes.expected_class(library, AXES[[4, 0]])
    assert rated.tolist() == pytest.approx([4, 0], abs=0.05)


def test_the_posterior_weighs_votes_by_the_transition_matrix():
    transitions = np.full((6, 6), 0.02)
    np.fill_diagonal(transitions, 0.9)
    prior = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    library = knn_bayes.Library(AXES, np.arange(6), transitions, prior)
    (shares,) = knn_bayes.posterior(library, np.array([[1, 0, 0, 0, 2, 0]]))
    ratio = (0.1 * 0.02 * 0.9**2) / (0.5 * 0.9 * 0.02**2)  # class 4 against class 0
    assert shares[4] / shares[0] == pytest.approx(ratio)


def test_too_few_rows_or_a_class_out_of_range_make_no_library():
    with pytest.raises(DataError, match="more than 16 rows, found 16"):
        knn_bayes.fit(*crowd([1] * 16))
    vectors, _ = crowd([1] * 20)
    with pytest.raises(DataError, match=r"expected 0..5, found 0..6"):
        knn_bayes.fit(vectors, np.array([0, 6] * 10))


# the learnt rater


def rows_rated_by_capitals(count: int = 240) -> list[tuple[Sample, float]]:
    """Samples whose class is how many of five words are shouted, whatever their length."""
    words = "stone river cloud grass flame".split()
    rng = np.random.default_rng(1)
    rated = []
    for line in range(count):
        shouted = line % 6
        said = [word.upper() if n < shouted else word for n, word in enumerate(words)]
        tail = ["and"] * int(rng.integers(0, 20))
        rated.append((sample("Say it", " ".join([*said, *tail]), line + 1), float(shouted)))
    return rated


@pytest.fixture(scope="module")
def capitals() -> Stored:
    return fit("learnt", rows_rated_by_capitals(), about="capitals", seed=3)


def test_a_learnt_rater_finds_what_the_ratings_follow(capitals):
    one = capitals.agreement["qa"]
    assert one.rows == 240
    assert one.spearman is not None
    assert one.spearman > 0.9
    assert one.auc is not None
    assert one.auc > 0.97


def test_a_learnt_rater_comes_back_from_disk_nearly_the_same(capitals, tmp_path):
    path = tmp_path / "mine.npz"
    save(capitals, path)
    back = load(path)
    found = features([one for one, _ in rows_rated_by_capitals(12)])
    before, after = (learnt.predict(s.models["qa"], found) for s in (capitals, back))  # type: ignore[arg-type]
    assert np.abs(before - after).max() < 0.05
    assert back.agreement == {
        name: read_agreement(one.plain()) for name, one in capitals.agreement.items()
    }
    assert open_rater(str(path)).name.startswith("learnt rater 2 (capitals; ")


def test_a_rating_does_not_hang_on_what_is_rated_beside_it():
    samples = [one for one, _ in rows_rated_by_capitals(30)]
    for name in ("learnt", "knn-bayes"):
        rate = open_rater(name).rate
        alone = np.concatenate([rate([one]) for one in samples])
        assert rate(samples).tolist() == alone.tolist()


def test_files_are_the_same_byte_for_byte_when_fitted_again(capitals, tmp_path):
    save(capitals, tmp_path / "a.npz")
    save(fit("learnt", rows_rated_by_capitals(), about="capitals", seed=3), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_stored_trees_say_what_the_fitted_ones_said():
    from sklearn.ensemble import GradientBoostingRegressor

    rng = np.random.default_rng(0)
    columns = rng.normal(size=(300, 4)).astype(np.float32)
    target = columns[:, 0] * 2 + (columns[:, 1] > 0)
    ours = learnt.tree_figure(fitting.fit_trees(columns, target, seed=5), columns)
    theirs = GradientBoostingRegressor(**fitting.TREES, random_state=5).fit(columns, target)
    assert np.abs(ours - theirs.predict(columns)).max() < 1e-4


def test_a_rating_of_k_is_where_a_class_of_k_is_as_likely_as_not():
    rng = np.random.default_rng(0)
    figures = rng.uniform(0, 5, 20_000)
    classes = np.floor(figures + rng.normal(0, 0.5, 20_000)).clip(0, 5)
    curve = fitting.thresholds(figures, classes)
    for level in (1, 2, 3, 4):
        (at,) = np.interp([level], curve.y, curve.x)
        near = np.abs(figures - at) < 0.1
        assert (classes[near] >= level).mean() == pytest.approx(0.5, abs=0.06)


def test_a_length_neutral_rating_does_not_follow_length():
    rng = np.random.default_rng(2)
    rated = []
    for line in range(400):
        length, good = int(rng.integers(3, 60)), bool(rng.integers(0, 2))
        text = " ".join(["GOOD" if good else "poor", *["word"] * length])
        rating = min(5.0, 2 * good + length / 20 + float(rng.normal(0, 0.3)))
        rated.append((sample("Say it", text, line + 1), max(0.0, rating)))
    stored = fit("learnt", rated, about="length", seed=1)
    usual, neutral = (stored.agreement[name] for name in ("qa", "qa, length-neutral"))
    assert usual.length is not None
    assert usual.length > 0.5
    assert neutral.length is not None
    assert abs(neutral.length) < 0.15
    assert neutral.beyond_length is not None
    assert neutral.beyond_length > 0.7


def test_where_ratings_follow_length_alone_a_neutral_rating_is_the_mean():
    figures = np.random.default_rng(0).permutation(np.linspace(0, 5, 200))
    curve = fitting.thresholds(figures, np.tile([2.0, 3.0], 100))
    opposite = fitting.thresholds(figures, np.floor(5 - figures))
    assert curve(np.array([0.0, 5.0])).tolist() == pytest.approx([2.5, 2.5], abs=0.6)
    assert opposite(np.array([0.0, 5.0])).tolist() == pytest.approx([2.0, 2.0], abs=0.1)


def test_ratings_of_two_values_give_a_rater_that_calls_the_better_one_high():
    figures = np.linspace(0, 1, 200)
    curve = fitting.thresholds(figures, np.repeat([0.0, 5.0], 100))
    low, high = curve(np.array([0.3, 0.7]))
    assert low < 4 < high <= 5


def test_ratings_that_are_all_high_stay_within_the_scale():
    curve = fitting.thresholds(np.linspace(0, 1, 200), np.repeat([4.0, 5.0], 100))
    assert 0 <= curve(np.array([-9.0]))[0] <= curve(np.array([9.0]))[0] <= 5


def test_figures_that_never_differ_say_nothing():
    curve = fitting.thresholds(np.zeros(100), np.repeat([1.0, 4.0], 50))
    assert curve(np.array([0.0])).tolist() == [2.5]


def test_one_long_chat_is_too_few_records():
    with pytest.raises(DataError, match="at least 5 records"):
        list(fitting.folds(np.zeros(120), seed=0))


def test_ratings_that_are_all_the_same_are_no_dice():
    vectors, classes = crowd([3] * 40)
    assert diagnose(vectors, classes).beyond_chance is None


def test_rows_of_one_record_are_held_out_together():
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 6])
    held = [set(part.tolist()) for _, part in fitting.folds(groups, seed=0)]
    assert sorted(row for part in held for row in part) == list(range(10))
    assert all({0, 1} <= part or not {0, 1} & part for part in held)


def test_too_few_ratings_say_what_needs_fewer():
    with pytest.raises(
        DataError, match=r"needs 100 rated rows of a kind, found qa \(99 rows\); knn-bayes needs 50"
    ):
        fit("learnt", rows_rated_by_capitals(99), about="", seed=0)


def test_ratings_that_are_all_the_same_teach_nothing():
    same = [(one, 3.0) for one, _ in rows_rated_by_capitals()]
    with pytest.raises(DataError, match="with different ratings, found 240 with 1"):
        fit("learnt", same, about="", seed=0)


def test_a_kind_the_rater_does_not_know_gets_no_rating(capitals, tmp_path):
    save(capitals, tmp_path / "mine.npz")
    rate = open_rater(str(tmp_path / "mine.npz")).rate
    known = sample("Say it", "stone river")
    first, second = rate([known, replace(known, kind="para")])
    assert 0 <= first <= 5
    assert np.isnan(second)


# raters that ship


def test_the_shipped_raters_know_all_kinds_and_say_whose_classes_are_synthetic():
    for path in BUNDLED.values():
        stored = load(path)
        assert set(stored.models) == {"qa", "mcq", "tfq", "cs", "para"}
        assert stored.synthetic == ("mcq", "tfq", "cs", "para")
    trust = open_rater().trust
    assert "(synthetic)" in trust["para"]
    assert "(synthetic)" not in trust["qa"]


def test_the_shipped_rater_prefers_an_answer_to_none():
    place = (Place("f", 1, 0, ""),)
    question = (
        "Explain why the sky is blue, and name the physicist after whom the effect is called."
    )
    good = (
        "Sunlight holds all colours. Molecules of air scatter short waves, such as blue, far more "
        "than long ones, such as red: the scattering grows with the fourth power of the frequency. "
        "So blue light reaches us from every part of the sky. The effect is called Rayleigh "
        "scattering, after Lord Rayleigh, who explained it in the 1870s."
    )
    answers = [good, "Blue.", "dont know", "Blue. " * 40]
    rated = open_rater().rate([Sample(question, answer, place) for answer in answers])
    assert rated.argmax() == 0
    assert rated[0] > 2.5 > rated[1]


def test_there_is_no_length_neutral_knn_bayes():
    with pytest.raises(ConfigError, match="only the learnt rater"):
        open_rater("knn-bayes", length_neutral=True)


def test_raters_that_need_a_model_are_sent_to_minimix_rate():
    with pytest.raises(ConfigError, match="minimix rate --fit"):
        open_rater("llm")


# files


def without(path, name: str):
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files if key != name}


@pytest.mark.parametrize("name", ["meta", "qa.leaves", "qa.words2", "qa.calibration", "qa.mean"])
def test_a_file_with_a_part_missing_is_refused(name, tmp_path):
    np.savez(tmp_path / "x.npz", **without(BUNDLED["learnt"], name))
    with pytest.raises(DataError, match=r"x\.npz: not a rater"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"qa.leaves": np.zeros((3, 16), "f4")},
        {"qa.features": np.full((300, 15), -1, "i2")},
        {"qa.features": np.full((300, 15), 5000, "i2")},
        {"qa.dense": np.zeros(3, "f4")},
        {"qa.words0": np.zeros(7, "f2")},
        {"qa.leaves": np.full((300, 16), np.nan, "f4")},
        {"qa.neutral": np.zeros((2, 2))},
        {"qa.neutral": np.full((2, 3), np.nan)},
        {"qa.calibration": np.zeros((2, 0))},
        {"qa.bases": np.array([np.nan, 1.0])},
        {"qa.features": np.zeros((300, 15), "f4")},
        {"qa.features": np.zeros((0, 15), "i2")},
        {"meta": np.array(json.dumps({"form": 99}))},
        {"meta": np.array("no json")},
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(change, tmp_path):
    np.savez(tmp_path / "x.npz", **(without(BUNDLED["learnt"], "") | change))
    with pytest.raises(DataError, match=r"x\.npz: not a rater"):
        load(tmp_path / "x.npz")


def test_an_archive_that_unpacks_to_far_more_than_a_rater_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(300_000_000))
    with pytest.raises(DataError, match="unpacks to 300,000,000 bytes"):
        load(tmp_path / "bomb.npz")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 900_000), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_harmless(place, flip):
    data = bytearray(BUNDLED["learnt"].read_bytes())
    data[place] ^= flip
    path = Path(tempfile.gettempdir(), "minimix-flipped.npz")
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        open_rater(str(path)).rate([sample("Say it", "stone river")])


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<U3302', 'fortran_order': False, 'shape': (), } lse, 'shape': ()}",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,)}",
        b"{'descr': '<f8', 'fortran_order': ((((((",
        b"{'descr': '",
    ],
)
def test_an_array_whose_header_does_not_parse_is_refused(header, tmp_path):
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("meta.npy", array)
    with pytest.raises(DataError, match=r"x\.npz: not a rater"):
        load(tmp_path / "x.npz")


def test_pickles_and_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "pickle.npz", meta=np.array([{}], dtype=object))
    for name in ("text.npz", "pickle.npz", "missing.npz", ""):
        with pytest.raises(DataError, match="not a rater"):
            load(tmp_path / name)


# agreement and noise


def test_agreement_by_hand():
    ratings = np.array([0.5, 1.5, 2.5, 3.5, 4.5, 4.2, 1.1, 2.2, 3.3, np.nan, 4.9], dtype=np.float32)
    classes = np.array([0, 1, 2, 3, 4, 3, 1, 2, 3, 5, 5])
    one = agree(ratings, classes, np.arange(11))
    assert one.rows == 10
    assert one.right == pytest.approx(2 / 3)  # 4.5, 4.9 of 4.5, 4.2, 4.9
    assert one.found == 1
    assert one.auc == 1
    assert one.confusion[3] == (0, 0, 0, 2, 1, 0)
    assert one.confusion[5] == (0, 0, 0, 0, 1, 0)


def test_ranks_alone_count_for_spearman_and_auc():
    assert spearman(np.array([1, 10, 100]), np.array([2, 3, 4])) == pytest.approx(1)
    assert spearman(np.array([1, 1, 1]), np.array([2, 3, 4])) is None
    assert auc(np.array([1, 2, 3, 2]), np.array([False, True, True, False])) == 0.875
    assert auc(np.array([1, 2]), np.array([True, True])) is None
    assert preferred(np.array([2, 1, 3]), np.array([1, 1, 4])) == 0.5


def test_what_follows_from_length_alone_is_nothing_beyond_it():
    rng = np.random.default_rng(0)
    words = rng.integers(1, 500, 3000)
    classes = np.clip(words / 100 + rng.normal(0, 1, 3000), 0, 5)
    ratings: Vectors = (words / 100 + rng.normal(0, 1, 3000)).astype(np.float32)
    one = agree(ratings, classes, words)
    assert one.spearman is not None
    assert one.spearman > 0.5
    assert one.beyond_length is not None
    assert abs(one.beyond_length) < 0.1


def test_agreement_needs_ten_rows_and_survives_json():
    few = np.ones(9, dtype=np.float32)
    with pytest.raises(DataError, match="at least 10 rated rows, found 9"):
        agree(few, few, few)
    one = agree(np.linspace(0, 5, 20, dtype=np.float32), np.linspace(0, 5, 20), np.ones(20))
    assert one.length is None
    back = read_agreement(json.loads(json.dumps(one.plain())))
    assert isinstance(back, Agreement)
    assert back.confusion == one.confusion
    with pytest.raises(DataError, match="not the figures"):
        read_agreement({"rows": 3})


def test_neighbours_that_never_differ_are_all_beyond_chance_and_dice_are_not():
    vectors, classes = crowd([0] * 60 + [3] * 60 + [5] * 60)
    assert diagnose(vectors, classes).beyond_chance == pytest.approx(1, abs=0.01)
    dice = np.random.default_rng(0).permutation(classes)
    found = diagnose(vectors, dice).beyond_chance
    assert found is not None
    assert abs(found) < 0.15


def test_wrong_ratings_are_the_most_doubted():
    vectors, classes = crowd([0] * 60 + [3] * 60 + [5] * 60)
    classes[[7, 70, 170]] = [5, 0, 3]
    doubt = diagnose(vectors, classes).doubt
    assert set(np.argsort(-doubt)[:3].tolist()) == {7, 70, 170}
