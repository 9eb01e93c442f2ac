"""What all tests share.

Property tests try the same cases in every run, so that a run that passed passes again.

`pytest --hypothesis-profile=search` draws new ones: what it finds becomes a test of its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from minimix.engines.bundled import fast_model
from minimix.mixture.text.articles import Article, read_squad
from minimix.parse import CLOSE
from tests.lighthouse import KEEPERS, LIGHT, QUESTIONS

settings.register_profile("same", derandomize=True)
settings.register_profile("search", settings.get_profile("default"))
settings.load_profile("same")


@pytest.fixture
def article(tmp_path) -> Article:
    paragraph = {
        text: [
            {"question": asked, "answers": [{"text": answer, "answer_start": text.index(answer)}]}
            for where, asked, answer in QUESTIONS
            if where == text
        ]
        for text in (LIGHT, KEEPERS)
    }
    row = {
        "title": "Skarn_Light",
        "paragraphs": [{"context": text, "qas": qas} for text, qas in paragraph.items()],
    }
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"version": "1.1", "data": [row]}))
    (read,) = read_squad(path)
    return read


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """Return the folder of a base with two layers of width 16, which at times closes its tag.

    Its rows all lean one way, as do the three pieces of the tag: it draws
    nearly always these, so every other answer of sixteen tokens closes.
    """
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    from minimix.train.base import read_tokenizer

    folder: Path = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )
    tokenizer: Any = read_tokenizer(fast_model())
    pieces = tokenizer(CLOSE, add_special_tokens=False)["input_ids"]
    assert len(pieces) == 3
    make: Any = LlamaForCausalLM
    model = make(config)
    with torch.no_grad():
        model.get_input_embeddings().weight += 1
        model.get_output_embeddings().weight[pieces] += 1
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
