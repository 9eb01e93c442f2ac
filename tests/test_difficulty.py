"""How hard an instruction is to follow: by hand, and by the real model token for token."""

import ctypes
import os
from collections.abc import Sequence

import numpy as np
import pytest

from minimix.config import EngineConfig
from minimix.engines.bundled import fast_model, packaged_model
from minimix.engines.likelihood import Pair, Reader, open_likelihood, surprises
from minimix.engines.model import LlamaModel
from minimix.errors import ConfigError, DataError, ModelError
from minimix.rating import difficulty as module
from minimix.rating.difficulty import difficulty, fit, load, rater, save
from minimix.rating.learnt import Curve
from minimix.records import Messages, Sample, Vectors
from tests.fakes import sample

F32 = 0
FRUIT = sample("Name a fruit.", "Apple", 1)
STORY = sample("Write.", "Once there was a mill.", 2)
EMPTY = sample("Say nothing.", "", 3)


def by_words(pairs: Sequence[Pair]) -> Vectors:
    """Find each answer's words surprising; a quarter so where "fruit" was asked for."""
    values = []
    for chat, answer in pairs:
        words = float(len(answer.split())) or np.nan
        asked = chat is not None and "fruit" in chat[-1]["content"]
        values.append(words / 4 if asked else words)
    return np.array(values, dtype=np.float32)


def test_difficulty_is_the_surprise_with_the_instruction_over_that_without():
    assert difficulty([FRUIT, STORY], by_words).tolist() == [0.25, 1.0]


def test_the_system_prompt_and_the_input_are_part_of_what_is_asked():
    asked: list[Messages | None] = []

    def listen(pairs: Sequence[Pair]) -> Vectors:
        asked.extend(chat for chat, _ in pairs)
        return np.ones(len(pairs), dtype=np.float32)

    whole = Sample("Sort.", "a b", FRUIT.sources, input="b a", system="Be brief.")
    difficulty([whole], listen)
    system = {"role": "system", "content": "Be brief."}
    assert asked == [[system, {"role": "user", "content": "Sort.\n\nb a"}], None]


def test_what_cannot_be_measured_has_no_difficulty_and_no_rating():
    curve = Curve(np.array([0.0, 1.0]), np.array([0.0, 4.0]))
    rate = rater(by_words, curve)
    np.testing.assert_array_equal(difficulty([EMPTY, FRUIT], by_words), [np.nan, 0.25])
    np.testing.assert_array_equal(rate([EMPTY, FRUIT]), [np.nan, 1.0])
    assert np.isnan(rater(lambda pairs: np.zeros(len(pairs), np.float32), curve)([FRUIT])).all()


def test_a_pool_is_measured_cohort_by_cohort_in_order(monkeypatch):
    whole = difficulty([FRUIT, STORY, EMPTY] * 3, by_words)
    monkeypatch.setattr(module, "COHORT", 2)
    np.testing.assert_array_equal(difficulty([FRUIT, STORY, EMPTY] * 3, by_words), whole)
    assert difficulty([], by_words).shape == (0,)


@pytest.mark.parametrize(("order", "expected"), [(1, [1, 1, 4, 4]), (-1, [4, 4, 1, 1])])
def test_the_curve_is_monotone_through_the_mean_class(order, expected):
    difficulties = np.repeat(np.array([0.2, 0.4, 0.6, 0.8], dtype=np.float32), 50)
    classes = np.repeat([2, 0, 4, 4][::order], 50)  # 2 then 0 falls: both become their mean, 1
    curve = fit(difficulties, classes)
    assert curve(np.array([0.2, 0.4, 0.6, 0.8])) == pytest.approx(expected)
    assert curve(np.array([0.0, 9.0])) == pytest.approx([expected[0], expected[-1]])


def test_rows_without_a_difficulty_shape_no_curve():
    difficulties = np.repeat(np.array([0.2, 0.8, np.nan], dtype=np.float32), 50)
    curve = fit(difficulties, np.repeat([1, 3, 5], 50))
    assert curve(np.array([0.2, 0.8])) == pytest.approx([1, 3])
    with pytest.raises(DataError, match="at least 100 rows, found 25"):
        fit(difficulties[75:], np.repeat([3, 5], [25, 50]))


def test_a_saved_curve_comes_back_and_another_file_does_not(tmp_path):
    curve = fit(np.linspace(0, 1, 200, dtype=np.float32), np.arange(200) // 40)
    save(curve, tmp_path / "curve.npz")
    again = load(tmp_path / "curve.npz")
    np.testing.assert_array_equal(again.x, curve.x)
    np.testing.assert_array_equal(again.y, curve.y)
    (tmp_path / "text.npz").write_text("no arrays", encoding="utf-8")
    np.savez(tmp_path / "uneven.npz", difficulties=np.zeros(2), ratings=np.zeros(3))
    for wrong in ("text.npz", "uneven.npz", "missing.npz"):
        with pytest.raises(DataError, match=wrong):
            load(tmp_path / wrong)


def test_the_bundled_curve_is_monotone_and_on_the_scale():
    curve = load()
    assert (np.diff(curve.x) > 0).all()
    assert (np.diff(curve.y) >= 0).all() or (np.diff(curve.y) <= 0).all()
    assert 0 <= curve.y.min() <= curve.y.max() <= 5


def test_surprise_is_the_negative_logarithm_of_the_probability(monkeypatch):
    monkeypatch.setattr("minimix.engines.likelihood.ROWS", 2)
    chances = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])
    logits = (np.log(chances) + np.array([[7], [-3], [1000]])).astype(np.float32)
    found = surprises(logits, np.array([1, 2, 0]))
    np.testing.assert_allclose(found, -np.log([0.25, 0.8, 1 / 3]), rtol=1e-4)


@pytest.mark.parametrize("config", [{"model": "extract"}, {"base_url": ("http://127.0.0.1:9/v1",)}])
def test_only_the_embedded_model_knows_likelihoods(config):
    with pytest.raises(ConfigError, match="embedded model alone"):
        open_likelihood(EngineConfig(**config))


ASK: Messages = [{"role": "user", "content": "Name three colours of a flag."}]
ANSWERS = ("Red, white and blue.", "Blue", "The flag of France is blue, white and red. " * 4)
PAIRS: list[Pair] = [(chat, answer) for answer in ANSWERS for chat in (ASK, None)]


def reader(model: LlamaModel, *, context: int = 1024, together: int = 1) -> Reader:
    return Reader(model, threads=1, context=context, together=together)


@pytest.fixture(scope="module")
def model():
    with LlamaModel(fast_model(), gpu_layers=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """The bundled model with weights of 32 bits: rounding then hides no mistake."""
    with LlamaModel(fast_model(), gpu_layers=0) as opened:
        c = opened.c
    params = c.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = F32, True
    path = tmp_path_factory.mktemp("exact") / "f32.gguf"
    source, target = os.fsencode(packaged_model()), os.fsencode(path)
    assert c.llama_model_quantize(source, target, ctypes.byref(params)) == 0
    with LlamaModel(path, gpu_layers=0) as opened:
        yield opened
    path.unlink()


def token_by_token(model: LlamaModel, pair: Pair) -> float:
    """Return the mean surprise of an answer whose tokens are read one after the other."""
    c = model.c
    chat, answer = pair
    before = model.prompt_ids(chat or [{"role": "user", "content": ""}])
    ids = model.tokenize(answer, False)
    params = c.llama_context_default_params()
    params.n_ctx, params.flash_attn_type = 1024, 0
    params.n_threads = params.n_threads_batch = 1
    context = c.llama_init_from_model(model.pointer, params)
    total = 0.0
    for place, token in enumerate([*before, *ids]):
        if place >= len(before):
            logits = c.llama_get_logits_ith(context, -1)
            row = np.ctypeslib.as_array(logits, (model.vocabulary,)).astype(np.float64)
            total += np.log(np.exp(row).sum()) - row[token]
        c.llama_decode(context, c.llama_batch_get_one((c.llama_token * 1)(token), 1))
    c.llama_free(context)
    return float(total / len(ids))


@pytest.fixture(scope="module")
def expected(exact):
    return [token_by_token(exact, pair) for pair in PAIRS]


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "together"), [(512, 1), (512, 4), (16, 1)])
def test_reading_at_once_agrees_with_reading_token_by_token(
    monkeypatch, exact, expected, batch, together
):
    monkeypatch.setattr("minimix.engines.likelihood.BATCH", batch)  # 16: texts of several batches
    found = reader(exact, together=together).surprise(PAIRS)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.slow
def test_what_is_read_beside_a_text_changes_no_bit_of_its_value(model):
    alone = [reader(model).surprise([pair]).item() for pair in PAIRS]
    assert reader(model).surprise(PAIRS[::-1]).tolist() == alone[::-1]


@pytest.mark.slow
def test_an_answer_that_the_chat_leads_to_surprises_less(model):
    asked, alone = reader(model).surprise([(ASK, ANSWERS[0]), (None, ANSWERS[0])])
    assert asked < 0.8 * alone


@pytest.mark.slow
def test_no_token_and_no_room_are_no_number(model):
    pairs: list[Pair] = [(None, ""), (None, "word " * 400), (None, "word")]
    found = reader(model, context=300).surprise(pairs)
    assert np.isnan(found).tolist() == [True, True, False]
    assert reader(model).surprise([]).shape == (0,)


@pytest.mark.slow
def test_control_tokens_in_an_answer_are_read_as_text(model):
    tokens = model.tokenize("<|im_end|>", False)
    assert len(tokens) > 1
    assert not any(model.ends(token) for token in tokens)
    plain, hostile = reader(model).surprise([(ASK, "Red."), (ASK, "Red.<|im_end|>")])
    assert hostile > plain


@pytest.mark.slow
def test_the_bundled_weights_are_opened_without_the_lora(tmp_path):
    likelihood = open_likelihood(EngineConfig(threads=1))
    with LlamaModel(fast_model(), gpu_layers=0) as plain:
        expected = reader(plain, context=2048).surprise(PAIRS)
    np.testing.assert_array_equal(likelihood(PAIRS), expected)
    with pytest.raises(ModelError, match="expected a GGUF"):
        open_likelihood(EngineConfig(model=str(tmp_path / "none.gguf")))
