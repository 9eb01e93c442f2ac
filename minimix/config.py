"""Every setting with its default, unit and range; flags and YAML only fill these in."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from minimix import checks
from minimix.errors import ConfigError, brief
from minimix.extras import need

HIGH = 4.0
"""Rating from which a sample is high (PAPER, Ratings)."""
BUDGET = re.compile(r"(\d+)|(\d+(?:\.\d+)?)\s*%")
PASSWORD = re.compile(r"//[^/@]*@")
ADDRESS = re.compile(
    r"https?://(?:[^\s/?#@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(?::\d{1,5})?(?:/[^\s?#@]*)?",
    re.IGNORECASE,
)
"""Of a server: what is behind the last @ is told everywhere, so no secret may stand there."""
EXTRACT = "extract"
BUNDLED = "bundled"
MINILM, STATIC = "minilm", "static"
LEARNT = "learnt"
AUTO, ON, OFF = FLASH = ("auto", "on", "off")
CACHE_TYPES = ("f16", "q8_0")
LISTS = {
    "base_url": "addresses",
    "check_against": "files or hub ids",
    "license": "licences",
    "language": "codes of languages",
}
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
"""What PyYAML raises, beside its own, on values that are not of the type that they claim."""
SIMPLE = (str, int, float, type(None))
TOLD = ("license", "language")
"""Settings that a card tells and nothing else follows from: a run goes on with others."""
LOCAL, RAY = EXECUTORS = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What generates, and how.

    `adapter` is a LoRA in GGUF on top of `model`; the bundled model brings its own. `base_url` are
    the addresses of servers that do it instead, `parallel` requests at a time of each.
    `threads` and `parallel` of 0 are derived from the machine; `gpu_layers` of -1 offloads all
    where the build of llama.cpp can and memory allows. `context` is in tokens for one sequence,
    prompt and answer, `batch` those of one decode. `flash_attention` is auto, on or off;
    `cache_type` that of the key-value cache, f16 or q8_0. `exact` answers each chat with nothing
    beside it.
    `min_p` is a share of the likeliest token's probability, 0 for no such cut;
    `repetition_penalty` of 1 is none; `grammar` holds answers to the form their prompt asks for.
    """

    model: str = BUNDLED
    adapter: str = ""
    base_url: tuple[str, ...] = ()
    threads: int = 0
    gpu_layers: int = -1
    parallel: int = 0
    context: int = 2048
    batch: int = 512
    flash_attention: str = AUTO
    cache_type: str = CACHE_TYPES[0]
    exact: bool = False
    max_new_tokens: int = 384
    temperature: float = 0.7
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    grammar: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for a setting out of range."""
        checks.texts(self, "model", "adapter")
        checks.lists(self, base_url=LISTS["base_url"])
        for url in self.base_url:
            _check_address(url)
        checks.at_least(self, threads=0, gpu_layers=-1, parallel=0, context=256, max_new_tokens=16)
        checks.at_least(self, batch=32)
        checks.one_of(self, "flash_attention", FLASH)
        checks.one_of(self, "cache_type", CACHE_TYPES)
        checks.between(self, "temperature", 0.0, 2.0)
        checks.between(self, "top_p", 0.0, 1.0)
        checks.between(self, "min_p", 0.0, 1.0)
        checks.between(self, "repetition_penalty", 1.0, 2.0)
        checks.flags(self, "grammar", "exact")
        if self.cache_type != CACHE_TYPES[0] and self.flash_attention == OFF:
            raise ConfigError(f"cache_type: {self.cache_type} needs flash_attention, found off")
        if self.max_new_tokens >= self.context:
            raise ConfigError(
                f"max_new_tokens: expected less than context ({self.context}), "
                f"found {self.max_new_tokens}"
            )


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Settings of one distillation.

    `budget` is rows or a share ("500", "3%"); `embedder` is auto, by the number of
    samples, minilm, static, a folder or a hub id; `mix` the share of fusions in the final set;
    `source_field` names a row's source, None finds it, "none" is for no such field;
    `candidates` drafts a task; `min_similarity` the cosine floor of a cluster, None to set it
    from the data; `near_copy` the cosine from which a sample is a copy; `tries` the clusters
    written at most per fusion wanted, all there are where `exhaustive`; `cohort` tasks generated
    together from a clean context; `rater` is learnt, knn-bayes or a file that `minimix rate --fit`
    made; `length_neutral` rates as if all responses were of one length; `check_against` the sources
    of evaluation questions that the final set is checked against; `license` and `language` are what
    the dataset card says of the data; `executor` is where it runs, local or ray, which changes
    nothing of what comes out.
    """

    seed: int = 42
    budget: str = "3%"
    mix: float = 0.5
    candidates: int = 3
    rating_field: str | None = None
    rating_range: tuple[float, float] | None = None
    source_field: str | None = None
    max_bad: float = 0.05
    limit: int | None = None
    rater: str = LEARNT
    length_neutral: bool = False
    embedder: str = AUTO
    near_copy: float = 0.95
    min_similarity: float | None = None
    tries: int = 8
    exhaustive: bool = False
    cohort: int = 16
    format: str | None = None
    check_against: tuple[str, ...] = ()
    drop_contaminated: bool = False
    license: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    executor: str = LOCAL
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a setting out of range."""
        checks.texts(self, "budget", "embedder", "rater")
        checks.flags(self, "length_neutral", "drop_contaminated", "exhaustive")
        checks.one_of(self, "executor", EXECUTORS)
        checks.at_least(self, seed=0, candidates=1, tries=1, cohort=1)
        for name in ("mix", "max_bad", "near_copy"):
            checks.between(self, name, 0.0, 1.0)
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit: expected at least 1, found {self.limit}")
        if self.min_similarity is not None:
            checks.between(self, "min_similarity", -1.0, 1.0)
        if not isinstance(self.source_field, str | None):
            raise ConfigError(f"source_field: expected text, found {self.source_field!r}")
        checks.scale(self, "rating_range")
        checks.lists(self, **{name: LISTS[name] for name in ("check_against", *TOLD)})
        budget_rows(self.budget, 1)

    def with_settings(self, settings: Mapping[str, Any]) -> "DistillConfig":
        """Return this configuration with `settings`, flat, over it.

        Raises ConfigError for a name that is no setting.
        """
        own = {item.name for item in fields(self)} - {"engine"}
        below = {item.name for item in fields(self.engine)}
        unknown = settings.keys() - own - below
        if unknown:
            names = ", ".join(sorted(own | below))
            raise ConfigError(f"{min(unknown)}: no such setting; there are {names}")
        plain = {name: _plain(name, value) for name, value in settings.items()}
        engine = {name: value for name, value in plain.items() if name in below}
        given = {name: value for name, value in plain.items() if name in own}
        try:
            return replace(self, **given, engine=replace(self.engine, **engine))
        except TypeError as error:
            raise ConfigError(f"a setting is of the wrong type ({error})") from error

    def flat(self) -> dict[str, Any]:
        """Return all settings of what comes out, as YAML can hold them; no password."""
        settings = asdict(self)
        engine = settings.pop("engine")
        del settings["executor"]
        engine["base_url"] = [PASSWORD.sub("//", url) for url in engine["base_url"]]
        if settings["rating_range"] is not None:
            settings["rating_range"] = list(settings["rating_range"])
        flat = {**settings, **engine}
        return {name: list(flat[name]) if name in LISTS else flat[name] for name in flat}


def _check_address(url: str) -> None:
    """Raise ConfigError for what is no address of a server, without a word of what follows it."""
    if not ADDRESS.fullmatch(url):
        shown = re.split(r"[?#]", url.rpartition("@")[2])[0][:80]
        raise ConfigError(
            "base_url: expected an address such as http://host:8000/v1, with no ? or # in it, and "
            f"%40 for an @ and %2F for a / in a name or password, found {shown!r}"
        )


def budget_rows(budget: str, pool: int) -> int:
    """Return the rows of the final set for a pool of `pool` samples, at least 1.

    Raises ConfigError unless `budget` is a number of rows or a share such as "3%".
    """
    match = BUDGET.fullmatch(budget.strip())
    if not match:
        raise ConfigError(f"budget: expected rows or a share such as 500 or 3%, found {budget!r}")
    rows = int(match[1]) if match[1] else round(pool * float(match[2]) / 100)
    if match[1] and rows < 1:
        raise ConfigError("budget: expected at least 1 row, found 0")
    return max(1, min(rows, pool))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, its dashes read as underscores.

    Raises ConfigError where it cannot be read or is no mapping.
    """
    yaml = need("yaml")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, *UNREADABLE) as error:
        raise ConfigError(f"{path}: not YAML ({brief(error)})") from error
    if not isinstance(settings, dict):
        found = type(settings).__name__
        raise ConfigError(f"{path}: expected settings as 'name: value', found {found}")
    for name, value in settings.items():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(one, SIMPLE) for one in items):  # nor aliases that grow beyond bounds
            raise ConfigError(f"{path}: {name!r:.60}: expected a value, or a list of values")
    return {str(name).replace("-", "_"): value for name, value in settings.items()}


def _plain(name: str, value: Any) -> Any:
    """Return a value from YAML or a caller as the configuration has it."""
    if name in LISTS and isinstance(value, str | Path | list | tuple):
        items = [value] if isinstance(value, str | Path) else value
        return tuple(_plain("", item) for item in items if item != "")
    return (
        str(value) if isinstance(value, Path) or (name, type(value)) == ("budget", int) else value
    )
