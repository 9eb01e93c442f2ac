"""Good samples of the five kinds, out of passages with questions and out of plain articles.

Every word is a person's: sentences of a passage and the questions asked about it. Code picks,
cuts at clauses, and puts one figure or name for another.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from minimix.mixture.text.answers import Asked, distractors, sort_of, tidy
from minimix.mixture.text.articles import Article, Passage, read_articles, read_squad
from minimix.mixture.text.facts import put_wrong, short_form
from minimix.mixture.text.prose import is_clean, leans, opening, stands_alone
from minimix.mixture.text.wording import YEAR, content_words, is_balanced, joined, words
from minimix.records import Kind, Sample

__all__ = ["BUILDERS", "build", "cs", "mcq", "para", "qa", "read_articles", "read_squad", "tfq"]

LETTERS = "ABCD"
REQUESTS: dict[Kind, str] = {
    "mcq": "Write a multiple-choice question about {title}.",
    "tfq": "Write a true-or-false statement about {title}.",
    "cs": "Write a statement about {title}, under the category it belongs to.",
    "para": "Write a paragraph about {title}.",
}
GAP = "____"
ABOUT_TEXT = frozenset("text passage article paragraph author".split())
FEWEST_ASKED = 4
LONGEST_OPTION, LONGEST_DIRECT = 6, 8
SHARE_DIRECT = 0.8
"""Share of answers that begin with the bare answer, as people do."""
ENOUGH_ANSWER, MOST_ANSWER = 35, 110
MOST_BEFORE = 2
SHARE_TRUE, FEWEST_SHARED = 0.75, 2
LEAST_STATEMENT, MOST_STATEMENT = 14, 65
LEAST_PARAGRAPH, MOST_PARAGRAPH, FEWEST_SENTENCES = 50, 150, 3


def build(articles: Sequence[Article], *, rng: np.random.Generator) -> list[Sample]:
    """Return samples of every kind, article by article, none twice."""
    made = (
        sample
        for article in articles
        for make in BUILDERS.values()
        for sample in make(article, rng)
    )
    return list(dict.fromkeys(made))


def qa(article: Article, rng: np.random.Generator) -> list[Sample]:
    """Return each question with its answer, the sentence that says so, and what goes with it."""
    made = []
    for passage, asked in questions(article):
        lines = answer_lines(passage, asked)
        if not lines:
            continue
        answer = tidy(asked.answer)
        short = words(answer) <= LONGEST_DIRECT and not lines[0].startswith(answer)
        direct = short and rng.random() < SHARE_DIRECT
        lead = [answer[0].upper() + answer[1:] + "."] if direct else []
        made.append(Sample(asked.question, joined([*lead, *lines]), (passage.place,)))
    return made


def mcq(article: Article, rng: np.random.Generator) -> list[Sample]:
    """Return each question with four options of one sort, one of them right.

    Where nobody asked, a sentence's figure is a gap to fill.
    """
    made = []
    for passage, asked in questions(article) + _one_gap_each(article, rng):
        right = tidy(asked.answer)
        question = asked.question or _gap_question(passage, asked)
        others = [one for one in article.asked if one is not asked]
        whole = replace(asked, question=question)
        wrong = distractors(whole, others, article.text, rng)[: len(LETTERS) - 1]
        if len(wrong) < len(LETTERS) - 1 or words(right) > LONGEST_OPTION:
            continue
        options = [(right, *wrong)[number] for number in rng.permutation(len(LETTERS))]
        lines = [f"{letter}) {text}" for letter, text in zip(LETTERS, options, strict=True)]
        answer = f"Answer: {lines[options.index(right)]}"
        made.append(_sample("mcq", article, passage, "\n".join([f"Q: {question}", *lines, answer])))
    return made


def tfq(article: Article, rng: np.random.Generator) -> list[Sample]:
    """Return statements, true or with a wrong figure or name, each with a sentence that explains.

    A false one is explained by the true sentence; a true one that is cut short by the whole, one
    that cannot be cut by what follows it.
    """
    made, used = [], set[str]()
    for passage, asked in questions(article) + _one_gap_each(article, rng):
        sentence = passage.sentences[asked.sentence].strip()
        if sentence in used or not (is_clean(sentence) and stands_alone(sentence)):
            continue
        short = short_form(sentence, asked.at + len(asked.answer))
        more = sentence if short != sentence else _following(passage, asked)
        false = _false(article, asked, short, rng)
        text = f"{false}\nAnswer: False. {sentence}" if false else ""
        if more and (not false or rng.random() < SHARE_TRUE):
            text = f"{short}\nAnswer: True. {more}"
        if text:
            used.add(sentence)
            made.append(_sample("tfq", article, passage, text))
    return made


def cs(article: Article, rng: np.random.Generator) -> list[Sample]:
    """Return what the article is about, with one to three sentences of each passage under it."""
    made = []
    for passage in article.passages:
        lines = run(
            passage, least=LEAST_STATEMENT, most=MOST_STATEMENT, count=int(rng.integers(1, 4))
        )
        if lines:
            text = f"C: {article.title}\nS: {joined(lines)}"
            made.append(_sample("cs", article, passage, text))
    return made


def para(article: Article, rng: np.random.Generator) -> list[Sample]:
    """Return each passage as a paragraph: three sentences or more that begin on their own."""
    made = []
    for passage in article.passages:
        lines = run(
            passage, least=LEAST_PARAGRAPH, most=MOST_PARAGRAPH, count=int(rng.integers(4, 9))
        )
        if len(lines) >= FEWEST_SENTENCES:
            made.append(_sample("para", article, passage, joined(lines)))
    return made


BUILDERS: dict[Kind, Callable[[Article, np.random.Generator], list[Sample]]] = {
    "qa": qa,
    "mcq": mcq,
    "tfq": tfq,
    "cs": cs,
    "para": para,
}


def _sample(kind: Kind, article: Article, passage: Passage, text: str) -> Sample:
    request = REQUESTS[kind].format(title=article.title)
    return Sample(request, text, (passage.place,), kind=kind)


def questions(article: Article) -> list[tuple[Passage, Asked]]:
    """Return the questions that can be understood without their passage."""
    pairs = [(passage, asked) for passage in article.passages for asked in passage.asked]
    return [(passage, asked) for passage, asked in pairs if _is_good(asked)]


def _is_good(asked: Asked) -> bool:
    question = asked.question
    said = set(question.lower().rstrip("?").split())
    whole = question.endswith("?") and question[:1].isupper() and question[1:2].islower()
    own = len(said) >= FEWEST_ASKED and not said & ABOUT_TEXT and not leans(question)
    return whole and own and is_balanced(asked.answer)


def _one_gap_each(article: Article, rng: np.random.Generator) -> list[tuple[Passage, Asked]]:
    """Return a gap of each passage that has one."""
    found = []
    for passage in article.passages:
        gaps = [asked for asked in passage.asked if not asked.question]
        if gaps:
            found.append((passage, gaps[rng.integers(len(gaps))]))
    return found


def _gap_question(passage: Passage, asked: Asked) -> str:
    sentence = passage.sentences[asked.sentence].strip()
    noun = "year" if YEAR.fullmatch(asked.answer) else "figure"
    shown = short_form(put_wrong(sentence, asked, GAP), asked.at + len(GAP))
    return f"Which {noun} fills the gap? {shown}"


def _false(article: Article, asked: Asked, statement: str, rng: np.random.Generator) -> str:
    """Return the statement with a wrong answer in it, "" where there is none that fits."""
    if sort_of(asked, article.text)[0] == "words":
        return ""
    others = [one for one in article.asked if one is not asked]
    for wrong in distractors(asked, others, article.text, rng):
        if wrong not in statement:
            return put_wrong(statement, asked, wrong)
    return ""


def _following(passage: Passage, asked: Asked) -> str:
    """Return the sentence after the one with the answer, "" unless it goes on about the same."""
    after = passage.sentences[asked.sentence + 1 : asked.sentence + 2]
    if not after or not is_clean(after[0]):
        return ""
    shared = content_words(passage.sentences[asked.sentence]) & content_words(after[0])
    goes_on = len(shared) >= FEWEST_SHARED or not stands_alone(after[0])
    return after[0].strip() if goes_on else ""


def answer_lines(passage: Passage, asked: Asked) -> list[str]:
    """Return the sentence with the answer, those it leans on, and those after it up to enough.

    None where one of them is not clean, or the first leans on what is not there.
    """
    first = last = asked.sentence
    while first > max(0, last - MOST_BEFORE) and not stands_alone(passage.sentences[first]):
        first -= 1
    lines = [*passage.sentences[first : last + 1]]
    while last + 1 < len(passage.sentences) and words(joined(lines)) < ENOUGH_ANSWER:
        last += 1
        lines.append(passage.sentences[last])
    good = all(map(is_clean, lines)) and stands_alone(lines[0])
    return lines if good and words(joined(lines)) <= MOST_ANSWER else []


def run(passage: Passage, *, least: int, most: int, count: int) -> list[str]:
    """Return up to `count` clean sentences in a row of least..most words, none where none are."""
    start = opening(passage.sentences)
    lines: list[str] = []
    for sentence in passage.sentences[start:] if start is not None else ():
        if not is_clean(sentence) or words(joined([*lines, sentence])) > most:
            break
        lines.append(sentence)
        if len(lines) >= count and words(joined(lines)) >= least:
            break
    return lines if words(joined(lines)) >= least else []
