"""What the audit sees and what it lets pass, by sentences a reader can check."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimix.audit import audit
from minimix.audit.reading import read
from minimix.audit.words import stem
from minimix.overlap import rouge_l
from minimix.records import Audit, Draft, Place, Sample

PLACE = (Place("f", 1, 0, ""),)


def marks(response: str, *answers: str, prompt: str = "Tell me", embed=None) -> Audit:
    sources = [Sample("Tell me", answer, PLACE) for answer in answers]
    return audit(Draft(response, prompt, response), sources, embed=embed)


def findings(found: Audit) -> tuple[str, ...]:
    return (*found.unsupported, *found.changed, *found.lost)


def test_entries_are_words_names_numbers_and_dates():
    keys = read("In 1969 Armstrong walked on the Moon, 1,200 times, from July 20.").keys
    assert keys == ["#1969", stem("armstrong"), "walk", "moon", "#1200", stem("times"), "~7-20"]


def test_words_of_one_family_have_one_stem():
    for family in (("run", "running"), ("origin", "originate"), ("children", "child")):
        assert len({stem(word) for word in family}) == 1


SOURCE = (
    "Marie Curie was born in Warsaw on 7 November 1867. She discovered polonium and radium. "
    "She won 2 Nobel Prizes, and was the first woman to do so. She did not patent her method. "
    "Her notebooks weigh 12 kg and can be read only with gloves."
)


@pytest.mark.parametrize(
    ("was", "now", "sort", "finding"),
    [
        ("1867", "1876", "unsupported", "number 1876"),
        ("1867", "1876", "lost", "number 1867"),
        ("7 November", "9 November", "unsupported", "date November 9"),
        ("7 November", "7 March", "unsupported", "date March 7"),
        ("12 kg", "15 kg", "unsupported", "number 15"),
        ("12 kg", "12 pounds", "changed", "12 lb where a source has 12 kg"),
        ("Warsaw", "Vienna", "unsupported", "name Vienna"),
        ("Warsaw", "Vienna", "lost", "name Warsaw"),
        ("did not patent", "did patent", "changed", "negation lost"),
        ("can be read", "cannot be read", "changed", "not in the sources"),
        ("She discovered polonium and radium. ", "", "lost", "discovered polonium and radium"),
    ],
)
def test_one_changed_fact_is_found(was, now, sort, finding):
    assert findings(marks(SOURCE, SOURCE)) == ()
    found = getattr(marks(SOURCE.replace(was, now), SOURCE), sort)
    assert any(finding in one for one in found)


def test_facts_that_change_places_are_found_though_nothing_is_new():
    source = (
        "Larry Page founded Google in California. Later, Bill Gates built Microsoft in Seattle."
    )
    swapped = source.replace("Google", "X").replace("Microsoft", "Google").replace("X", "Microsoft")
    found = marks(swapped, source)
    assert (found.kept, found.supported, found.unsupported, found.lost) == (1, 1, (), ())
    assert "name Microsoft where a source has name Google" in found.changed


def test_what_is_said_of_one_name_is_not_said_of_another():
    sources = ("Steve Jobs founded Apple in 1976.", "Bill Gates founded Microsoft in 1975.")
    both = "Steve Jobs founded Apple in 1976 and Bill Gates founded Microsoft in 1975."
    swapped = "Bill Gates founded Apple in 1976 and Steve Jobs founded Microsoft in 1975."
    assert findings(marks(both, *sources)) == ()
    found = marks(swapped, *sources)
    assert any(one.startswith("name Bill Gates where") for one in found.changed)


def test_a_name_among_words_that_no_source_has_near_it_is_found():
    rest = "Many of its people farm the land and raise goats on the hills around the old town. "
    sources = (f"The African elephant is the heaviest. {rest}{rest}Sauropods ate plants.",)
    found = marks("The heavy Sauropods elephant is the heaviest. They ate plants.", *sources)
    assert any(one.startswith("name Sauropods") for one in found.changed)


def test_degrees_of_one_scale_are_not_those_of_another():
    source = "Water boils at 100 degrees Celsius."
    assert marks("Water boils at 100 °C.", source).changed == ()
    assert marks("Water boils at 100 degrees centigrade.", source).changed == ()
    found = marks("Water boils at 100 degrees Fahrenheit.", source).changed
    assert found == ("100 °F where a source has 100 °C",)


def test_a_figure_in_the_place_of_another_is_found():
    source = "The tower has 300 steps and 24 windows. The bridge has 95 steps and 12 lamps."
    assert findings(marks(source, source)) == ()
    assert marks(source.replace("300", "95", 1), source).lost == ("number 300",)


def test_addresses_and_code_are_held_to_the_letter():
    source = "See https://a.org/x and run `pip install minimix` first."
    changed = source.replace("/x", "/y").replace("install", "uninstall")
    assert findings(marks(source, source)) == ()
    assert set(marks(changed, source).unsupported) == {
        '"https://a.org/y"', '"pip uninstall minimix"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "draft"),
    [
        ("It was signed on 5 January 1990.", "It was signed on Jan 5th, 1990."),
        ("It was signed on 1990-01-05.", "It was signed on January 5, 1990."),
        ("It has twelve hundred seats.", "It has 1,200 seats."),
        ("It cost $1.5 million.", "It cost 1,500,000 dollars."),
        ("It takes two and a half hours.", "It takes 2.5 hours."),
        ("It has three legs.", "It has 3 legs."),
        ("The U.S. won.", "The United States won."),
        ("It is 5 kilometres long.", "It is 5 km long."),
        ("1. Bread\n2. Milk", "Bread and milk."),
        ("the sumreians lived in iraq", "The Sumerians lived in Iraq."),
        ("Matches do not have a time limit.", "There is no time limit to matches."),
        ("You can't eat it.", "You cannot eat it."),
        ("Absorbs all light except green.", "Absorbs all light but not green."),
        ("Ann, Bob and Cid won.", "Cid, Ann and Bob won."),
    ],
)
def test_the_same_fact_in_other_words_is_no_finding(source, draft):
    assert findings(marks(draft, source)) == ()


def test_an_acronym_excuses_its_own_words_and_no_others():
    source = "The IAU met in Prague."
    assert findings(marks("The International Astronomical Union met in Prague.", source)) == ()
    moved = marks("The IAU met in Athens, International Astronomical Union.", source)
    assert moved.unsupported == ("name Athens",)


def test_a_fact_told_twice_in_the_sources_need_be_told_once():
    first, second = "Rome lies in Italy.", "Rome, a city, lies in Italy."
    assert findings(marks(second, first, second)) == ()


def test_similarity_settles_what_words_cannot():
    source = "Cats sleep a lot. Felines dislike bathing, swimming, showers and puddles."
    draft = "Cats sleep a lot. Water is nothing they enjoy."
    assert marks(draft, source).lost != ()

    def alike(texts):
        return np.ones((len(texts), 1), dtype=np.float32)

    def unlike(texts):
        return np.eye(len(texts), dtype=np.float32)

    far_below_certain = "Cats sleep a lot. Felines dislike bathing."
    assert marks(draft, far_below_certain, embed=alike).lost == ()
    assert marks(draft, far_below_certain, embed=unlike).lost != ()


def test_similarity_is_not_asked_where_nothing_is_in_doubt():
    def ask(_texts):
        raise AssertionError("asked")

    assert findings(marks(SOURCE, SOURCE, embed=ask)) == ()


def test_shapes_are_measured_beside_facts():
    one, two = "Rome lies in Italy by a river.", "Paris lies in France by another river."
    pasted = marks(f"{one} {two}", one, two)
    assert (pasted.pasted, pasted.redundant, pasted.fluent) == (1, 0, 1)
    assert marks(one, one, two).copied == 1
    twice = marks(f"{one} {one}", one, two)
    assert twice.redundant == pytest.approx(1 / 2)
    stuffed = "Rome Italy river Paris France Rome Italy river Paris France"
    assert marks(stuffed, one, two).fluent < 1


def test_an_explanation_may_take_up_the_statement_but_not_itself():
    wrong, right = "Rome lies in France by a river.", "Rome lies in Italy by a river."
    answered = marks(f"{wrong}\nAnswer: False. {right}", right)
    assert (answered.distinct, answered.redundant) == (1, 0)
    looping = marks(f"{wrong}\nAnswer: False. {right} {right}", right)
    assert looping.distinct < 0.8
    assert looping.redundant == pytest.approx(1 / 3, abs=0.05)


TEXT = st.text(max_size=120) | st.lists(
    st.sampled_from(
        "Rome 1990 not the 5 May . , \n fell John \u20ac 3.5 http://a.b `c` n't".split(" ")
    ),
    max_size=30,
).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT, st.lists(TEXT, max_size=3))
def test_no_text_is_too_strange_and_the_order_of_sources_does_not_matter(prompt, response, answers):
    found = marks(response, *answers, prompt=prompt)
    assert found == marks(response, *answers, prompt=prompt)
    assert found == marks(response, *reversed(answers), prompt=prompt)
    shares = (found.kept, found.supported, found.asked, found.distinct, found.copied)
    assert all(0 <= share <= 1.0001 for share in (*shares, found.pasted, found.fluent))


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_a_draft_that_is_its_only_source_has_no_findings(text):
    found = marks(text, text)
    assert findings(found) == ()
    assert found.supported == pytest.approx(1) or not read(text).keys


def test_rouge_l_is_an_f1_over_the_longest_common_subsequence():
    assert rouge_l("The cat sat.", "the cat sat") == 1
    assert rouge_l("a b c d", "a x c") == pytest.approx(2 * 2 / 7)
    assert rouge_l("", "a") == 0
