"""How tokens are drawn, on logits by hand, and the forms that answers are held to."""

import random
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minimix.config import DistillConfig, EngineConfig
from minimix.engines import open_engine
from minimix.engines.bundled import fast_model
from minimix.engines.model import LlamaModel
from minimix.engines.picker import Picker
from minimix.engines.sampling import Sampling
from minimix.errors import ConfigError
from minimix.evaluate.answers import memory_file
from minimix.grammar import grammar
from minimix.parse import parse
from minimix.prompt import FORMS, STOPS, to_messages
from minimix.records import KINDS, Answer, Engine, Kind, Messages, Task

BREAD = "Q: What is bread?\nA: Bread is dough of flour and water, baked until it is brown."
WELL_FORMED = [
    ("qa", "<answer>Q: Why?\nA: Because.</answer>"),
    ("qa", "<answer>Q: Sort these.\n\nb\na\nA: a\n\nb, see <b>bold</b>\nAnswer: 2</answer>"),
    ("mcq", "<answer>Q: 1+1?\nA) 1\nB) 2\nC) 3\nD) 4\nAnswer: B) 2</answer>"),
    ("tfq", "<answer>Fish fly.\nAnswer: False</answer>"),
    ("tfq", "<answer>Fish fly.\nAnswer: False. They swim.\nMostly.</answer>"),
    ("cs", "<answer>C: Birds\nS: They fly.</answer>"),
    ("para", "<answer>All in one.\nOn two lines, a < b.</answer>"),
]
MALFORMED = [
    ("qa", "Q: Why?\nA: Because."),
    ("qa", "<answer> Q: Why?\nA: Because.</answer>"),
    ("qa", "<answer>Q: Why? Because.</answer>"),
    ("qa", "<answer>Q: Why?\nAnswer: No.\nA: Because.</answer>"),
    ("qa", "<answer>Q: Why?\nA: </answer>"),
    ("qa", "<answer>Q: Why?\nA: So.\n \n question: How?</answer>"),
    ("qa", "<answer>Q: Why?\nA: So. <answer></answer>"),
    ("qa", "<think>hm</think><answer>Q: Why?\nA: Because.</answer>"),
    ("qa", "<answer>Q: Why?\nA: Because.</answer> Bye"),
    ("mcq", "<answer>Q: 1+1?\nA) 1\nB) 2\nD) 4\nAnswer: B</answer>"),
    ("tfq", "<answer>Fish fly.\nAnswer: Maybe</answer>"),
    ("tfq", "<answer>Answer: True</answer>"),
    ("cs", "<answer>S: They fly.</answer>"),
    ("para", "<answer></answer>"),
]  # fmt: skip


def picks(sampling: Sampling, logits: list[float], count: int, prompt: bytes = b"") -> list[int]:
    """Return what the second candidate's chain picks from the same logits, one after another."""
    c = pytest.importorskip("llama_cpp")
    chain = sampling._chain(c, prompt, 1, vocabulary=len(logits))
    picker = Picker(SimpleNamespace(c=c), chain)  # type: ignore[arg-type]
    found = [picker.pick_from(np.array(logits, dtype="f4")) for _ in range(count)]
    picker.free()
    return found


def greedy(penalty: float) -> Sampling:
    return Sampling(2, 0.0, 1.0, 0, repetition_penalty=penalty)


def drawn(**settings: float) -> Sampling:
    return replace(Sampling(2, 1.0, 1.0, 0), **settings)  # type: ignore[arg-type]


def test_a_penalty_divides_the_logits_of_what_was_written():
    assert picks(greedy(1.0), [2.0, 1.9, 0.0], 3) == [0, 0, 0]
    assert picks(greedy(1.1), [2.0, 1.9, 0.0], 3) == [0, 1, 0]  # 1.82 < 1.9; 1.73 < 1.82


def test_a_penalty_multiplies_where_they_are_below_zero():
    assert picks(greedy(1.1), [-1.0, -1.05], 2) == [0, 1]  # -1.1 < -1.05


def test_a_penalty_forgets_what_was_written_long_ago(monkeypatch):
    monkeypatch.setattr("minimix.engines.sampling.LAST", 1)
    assert picks(greedy(1.5), [2.0, 1.9, 1.8], 4) == [0, 1, 0, 1]


def test_min_p_leaves_out_what_is_too_unlikely_beside_the_likeliest():
    logits = [float(np.log(share)) for share in (0.5, 0.4, 0.1)]
    assert set(picks(drawn(), logits, 200)) == {0, 1, 2}
    assert set(picks(drawn(min_p=0.25), logits, 200)) == {0, 1}  # 0.1 < 0.25 * 0.5
    assert set(picks(drawn(min_p=0.9), logits, 200)) == {0}  # 0.4 < 0.9 * 0.5


def test_one_seed_draws_alike_and_another_otherwise():
    logits = [0.0] * 50
    assert picks(drawn(), logits, 20) == picks(drawn(), logits, 20)
    assert picks(drawn(), logits, 20) != picks(drawn(seed=1), logits, 20)
    assert picks(drawn(), logits, 20) != picks(drawn(), logits, 20, prompt=b"another")


def test_a_server_is_told_what_is_set_and_no_more():
    assert drawn().for_servers() == {}
    assert drawn(min_p=0.1, repetition_penalty=1.05).for_servers() == {
        "min_p": 0.1,
        "repetition_penalty": 1.05,
        "repeat_penalty": 1.05,
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_p": 1.5}, r"min_p: expected 0\.\.1, found 1\.5"),
        ({"repetition_penalty": 0.9}, r"repetition_penalty: expected 1\.\.2, found 0\.9"),
        ({"grammar": "yes"}, "grammar: expected true or false, found 'yes'"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        EngineConfig(**setting)


@pytest.mark.parametrize(
    "setting", [{"model": "extract"}, {"base_url": ("http://127.0.0.1:9/v1",)}]
)
def test_only_what_runs_here_can_be_held_to_a_grammar(setting):
    with pytest.raises(ConfigError, match="grammar: expected a model that runs here"):
        open_engine(EngineConfig(grammar=True, **setting), candidates=1, seed=0)


def test_kept_answers_keep_their_name_until_such_a_setting_is_given():
    made = Engine(lambda _: iter(()), name="m", sha256="a")
    usual = DistillConfig()
    given: list[dict[str, Any]] = [{"min_p": 0.1}, {"repetition_penalty": 1.05}, {"grammar": True}]
    files = {memory_file(made, config=usual.with_settings(one)) for one in given}
    assert len(files - {memory_file(made, config=usual)}) == 3
    assert usual.with_settings({"min_p": 0, "grammar": False}).engine == usual.engine


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    with LlamaModel(fast_model(), gpu_layers=0) as opened:
        yield opened


def held(model: LlamaModel, kind: Kind, *, think: bool = False) -> Picker:
    """Return a picker that takes the likeliest token that the grammar of a kind allows."""
    given = grammar(kind, think=think)
    return Sampling(1, 0.0, 1.0, 0).picker(model, b"", 0, held=given)


def accepts(model: LlamaModel, kind: Kind, text: str, *, think: bool = False) -> bool:
    """Whether llama.cpp lets a text through, token by token, to its end."""
    picker = held(model, kind, think=think)
    passed = all(
        picker.pick_from(favouring(model, token)) == token for token in model.tokenize(text, False)
    )
    ended = passed and model.ends(picker.pick_from(favouring(model)))
    picker.free()
    return ended


def favouring(model: LlamaModel, *tokens: int) -> np.ndarray:
    logits = np.zeros(model.vocabulary, dtype="f4")
    logits[list(tokens)] = 1
    return logits


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "text"), WELL_FORMED)
def test_the_grammar_lets_through_what_is_well_formed(model, kind, text):
    assert parse(Task(kind, ("x",)), text).problems == ()
    assert accepts(model, kind, text)
    assert accepts(model, kind, f"<think>Merge both.\nAll of it.</think>\n{text}", think=True)
    assert not accepts(model, kind, text, think=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "text"), MALFORMED)
def test_the_grammar_refuses_what_is_not(model, kind, text):
    assert not accepts(model, kind, text)


PHRASES = [
    "x", "Xy", " ", "\n", "\r", "\u2028", "\u00e9", "<", "</", "Q: x", "\nQ: ", "\n \tqUeSTion: x",
    "\nqu\u0131e\u017ftion: x", "\nA: ", "\nAnswer: ", "\n\u00a0a: x", "\nA) ", "\nB) ", "\nC) ",
    "\nD) ", "\nS: ", "C: ", "True", "False", ". ", "<answer>", "<think>", "</think>", "</thin",
    "</answer", "</answer>", "</answer>", "</answer>", "<|im_start|>", "<|im_end|>",
]  # fmt: skip


def wild(model: LlamaModel, noise: np.ndarray, task: Task, seed: int) -> str:
    """Return what the grammar makes of phrases at random; "" where it is not done in time."""
    chance = random.Random(seed)
    picker = held(model, task.kind, think=task.think)
    text = b""
    for _ in range(100):
        for wanted in model.tokenize(chance.choice(PHRASES), True):
            logits = noise.copy()
            logits[wanted] = 2
            token = picker.pick_from(logits)
            if model.ends(token):
                picker.free()
                return text.decode()
            text += model.piece(token)
    picker.free()
    return ""


@pytest.fixture(scope="module")
def noise(model) -> np.ndarray:
    """Logits by chance for all tokens that are whole letters; llama.cpp lets broken ones pass."""
    pieces = [model.piece(token).decode("utf-8", "replace") for token in range(model.vocabulary)]
    chances = np.random.default_rng(0).random(model.vocabulary, dtype="f4")
    return np.where(["\ufffd" in piece for piece in pieces], np.float32(-9), chances)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_model_writes_under_the_grammar_is_well_formed(model, noise, kind):
    done = 0
    for seed in range(12):
        task = Task(kind, ("x",), think=seed % 3 == 0)
        text = wild(model, noise, task, seed)
        draft = parse(task, text)
        if text:
            done += 1
            assert (draft.problems, not draft.response) == ((), False)
            assert draft.answer == text.partition("<answer>")[2].removesuffix("</answer>").strip()
            assert all(stop not in text.removesuffix("</answer>") for stop in STOPS)
    assert done >= 4


@pytest.mark.slow
def test_where_a_model_would_end_its_turn_its_answer_is_closed(model):
    end = favouring(model, *model.tokenize("<|im_end|>", True))
    picker = held(model, "qa")
    for token in model.tokenize("<answer>Q: Why?", False):
        assert picker.pick_from(favouring(model, token)) == token
    assert not model.ends(picker.pick_from(end))  # not before there is an answer
    for token in model.tokenize("\nA: So", False):
        assert picker.pick_from(favouring(model, token)) == token
    closing = [model.piece(picker.pick_from(end)) for _ in model.tokenize("</answer>", False)]
    assert b"".join(closing) == b"</answer>"
    assert model.ends(picker.pick_from(end))
    picker.free()


def bare(chats: list[Messages], *, grammar: bool, new: int) -> list[Answer]:
    """Return what the bundled model without its adapter writes."""
    config = EngineConfig(threads=1, parallel=4, max_new_tokens=new, grammar=grammar)
    engine = open_engine(config, candidates=1, seed=1, adapted=False)
    return sorted(engine.generate(chats), key=lambda answer: answer.task)


@pytest.mark.slow
def test_a_model_that_was_never_trained_writes_each_kind_in_its_form():
    tasks = [Task(kind, (BREAD, BREAD)) for kind in KINDS]
    chats = [to_messages(task) for task in tasks]
    for answer in bare(chats, grammar=True, new=48):
        task = tasks[answer.task]
        assert answer.text.startswith(FORMS[task.kind].partition("\n")[2].partition("...")[0])
        problems = parse(task, answer.text).problems
        assert not problems if answer.finish == "stop" else "no </answer>" in problems
        assert "a second Q:" not in problems


@pytest.mark.slow
def test_a_chat_of_no_kind_is_held_to_nothing():
    chats: list[Messages] = [[{"role": "user", "content": f"What is bread? {BREAD}"}]]
    assert bare(chats, grammar=True, new=16) == bare(chats, grammar=False, new=16)
