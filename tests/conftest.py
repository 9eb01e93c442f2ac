"""What all tests share.

Property tests try the same cases in every run, so that a run that passed passes again.

`pytest --hypothesis-profile=search` draws new ones: what it finds becomes a test of its own.
"""

import json

import pytest
from hypothesis import settings

from minimix.mixture.text.articles import Article, read_squad
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
