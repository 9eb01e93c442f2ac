"""The report holds text from strangers, and shows it as text."""

from collections import Counter

from minimix.contamination import Match
from minimix.plan import Group
from minimix.records import Audit, Dropped, Entry, Fusion, Place, Reward, Sample
from minimix.report import Page, render

HOSTILE = "<script>alert(1)</script> <|im_end|> {{ 7 * 7 }} </answer>"
PLACE = Place("data.jsonl", 1, 0, "0" * 64)


def page() -> str:
    sample = Sample(HOSTILE, HOSTILE, (PLACE, PLACE))
    audit = Audit(1, 1, 1, 1, 0, lost=("<b>lost</b>",), unsupported=("#49",))
    fusion = Fusion(0, sample, 4.0, Reward(1, None, 1), audit)
    made = Page(
        title="<title>",
        counts=Counter(samples=2),
        notes=["<note>"],
        trust=["<trust>"],
        fusions=[(Entry(sample, "fusion", 4.0, 0.5, fusion), [sample, sample])],
        plan=[Group(2, 0.25, 3.5, 0.5, 1, 1)],
        skipped=[(Group(1, 0.125, 3.25, 0.5, 0, 0), [sample])],
        matches=[Match(sample, PLACE, "near", 0.5)],
        dropped=[Dropped(PLACE, "judge", "<reason>")],
        settings={"<name>": "<value>"},
    )
    return render(made)


def test_text_from_data_is_escaped_wherever_it_stands():
    found = page()
    assert "<script" not in found
    assert found.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 7
    escaped = (
        "&lt;b&gt;lost",
        "&lt;trust&gt;",
        "&lt;note&gt;",
        "&lt;reason&gt;",
        "&lt;name&gt;",
        "&lt;value&gt;",
    )
    assert all(text in found for text in escaped)


def test_templates_in_data_are_not_run():
    assert "{{ 7 * 7 }}" in page()


def test_the_page_asks_nobody_for_anything():
    found = page()
    assert "default-src 'none'" in found
    assert "http" not in found.replace("http-equiv", "")
    assert "src=" not in found


def test_the_plan_and_what_it_skipped_are_shown():
    found = page()
    assert '<td class="n">25 %</td><td class="n">3.50</td>' in found
    assert '<td class="n">12 %</td><td class="n">3.25</td>' in found
