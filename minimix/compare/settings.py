"""What a comparison is asked: which sets, how they are matched, and on what students are judged."""

from dataclasses import dataclass

from minimix.compare.arms import ARMS
from minimix.config import DistillConfig
from minimix.errors import ConfigError
from minimix.train.settings import SftConfig

MATCHES = ("tokens", "rows")


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Which sets train students, and how these are judged.

    `arms` are names of `minimix.compare.arms.ARMS`; `matched` says what every set has alike,
    tokens or rows. Each set trains `seeds` students. `held_out` names the samples that students are
    judged on; "" takes `hold` high ones out of the pool. `eval_tasks` are tasks of
    lm-evaluation-harness, also those defined in the folder `eval_folder`; `eval_limit` questions of
    each, 0 for all.
    """

    arms: tuple[str, ...] = ARMS
    matched: tuple[str, ...] = MATCHES
    seeds: int = 3
    held_out: str = ""
    hold: int = 200
    eval_tasks: tuple[str, ...] = ()
    eval_folder: str = ""
    eval_limit: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigError for a set or a match there is not, or a number out of range."""
        for name, known in (("arms", ARMS), ("matched", MATCHES)):
            given = getattr(self, name)
            unknown = [one for one in given if one not in known]
            if unknown or not given:
                found = repr(unknown[0]) if unknown else "none"
                raise ConfigError(f"{name}: expected some of {', '.join(known)}, found {found}")
        for name, least in (("seeds", 1), ("hold", 2), ("eval_limit", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected at least {least}, found {getattr(self, name)}")
        if self.eval_folder and not self.eval_tasks:
            raise ConfigError("eval_folder: expected eval_tasks beside it, found none")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a comparison is made with: its sets, how distilling is done, and how students train."""

    config: CompareConfig
    distilling: DistillConfig
    student: SftConfig
