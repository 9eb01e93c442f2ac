"""What a notebook shows of a result: its counts, and a few fusions beside their sources.

Escaped by the template engine, without script or colour, so that it fits a page of any theme.
"""

from collections.abc import Mapping, Sequence

from minimix.extras import need
from minimix.records import Entry, Sample

SHOWN = 3
"""Fusions that are shown."""
LONGEST = 400
"""Characters that are shown of a text."""
TEMPLATE = """
{%- macro text(sample) -%}
<div style="white-space:pre-wrap"><b>{{ sample.prompt|cut }}</b>
{{ sample.response|cut }}</div>
{%- endmacro -%}
<div style="max-width:60em">
<p><b>{{ "{:,}".format(counts.final) }} rows</b> of {{ "{:,}".format(counts.samples) }} samples:
{{ "{:,}".format(counts.originals) }} originals, {{ "{:,}".format(counts.fusions) }} fusions
({{ "{:,}".format(counts.high_fusions) }} of them high), \
{{ "{:,}".format(counts.best_sources) }} best sources;
{{ "{:,}".format(counts.dropped) }} dropped, each with its reason</p>
{% if notes %}<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
{% if fusions %}<table>
<tr><th style="text-align:left">fusion</th><th style="text-align:left">its sources</th></tr>
{% for entry, sources in fusions %}<tr style="vertical-align:top">
<td style="text-align:left;width:50%">{{ text(entry.sample) }}
<small>rated {{ "%.1f" % entry.rating }}</small></td>
<td style="text-align:left">{% for source in sources %}{{ text(source) }}
<small>{{ source.place }}</small>{% if not loop.last %}<hr>{% endif %}{% endfor %}</td>
</tr>{% endfor %}
</table>{% endif %}
</div>
"""


def glance(
    counts: Mapping[str, int],
    notes: Sequence[str],
    fusions: Sequence[tuple[Entry, Sequence[Sample]]],
) -> str:
    """Return a piece of HTML: the counts of a run, its notes, and fusions with their sources."""
    jinja = need("jinja2")
    environment = jinja.Environment(autoescape=True, undefined=jinja.StrictUndefined)
    environment.filters["cut"] = _cut
    shown: str = environment.from_string(TEMPLATE).render(
        counts=counts, notes=notes, fusions=fusions[:SHOWN]
    )
    return shown


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"
