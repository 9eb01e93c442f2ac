"""The front matter of a dataset card: what the hub reads of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"))  # fmt: skip
LARGEST = "10M<n<100M"
TAGS = ("minimix", "instruction-tuning", "data-distillation")
UNKNOWN, OTHER = "unknown", "other"
LICENSES = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause
    bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1
    agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by
    odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
    deepfloyd-if-license llama2 gemma unknown other
    """.split()
)
"""The identifiers of the hub (its page "Licenses"); what is none of them is `other`, by name."""


def license_id(name: str) -> str:
    """Return the hub's identifier of a licence, "" for one that it has none for."""
    code = re.sub(r"[\s_]+", "-", name.strip().lower())
    return code if code in LICENSES else ""


def licenses(told: Sequence[str], found: Mapping[str, int]) -> dict[str, str]:
    """Return the licences of a set by name, each with the hub's identifier or "".

    They are those that were `told`, else the union of what records were `found` to say, with
    "unknown" where some say nothing; each once, in order of their names.
    """
    names = told or [name or UNKNOWN for name in found] or [UNKNOWN]
    ids = {license_id(name) or name: license_id(name) for name in names}
    return dict(sorted(ids.items()))


def front_matter(
    name: str,
    rows: int,
    *,
    license_ids: Mapping[str, str],
    language: Sequence[str],
    synthetic: bool,
    data_file: str,
) -> dict[str, Any]:
    """Return the metadata of a set of `rows` rows that stand in `data_file`.

    `license_ids` are as `licenses` has them; `synthetic` says that a model wrote some rows.
    """
    ids = sorted({code or OTHER for code in license_ids.values()})
    others = [_slug(name) for name, code in license_ids.items() if not code]
    return {
        "pretty_name": name,
        "license": ids[0] if len(ids) == 1 else ids,
        **({"license_name": "-and-".join(others)} if others else {}),
        **({"language": list(language)} if language else {}),
        "task_categories": ["text-generation"],
        "tags": [*TAGS, *(["synthetic"] if synthetic else [])],
        "size_categories": [next((label for most, label in SIZES if rows < most), LARGEST)],
        "configs": [{"config_name": "default", "data_files": data_file}],
    }


def _slug(name: str) -> str:
    """Return a name as the hub wants that of a licence: lower case, without spaces."""
    return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-") or UNKNOWN
