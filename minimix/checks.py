"""Checks of single settings: each error names the setting, what was expected and what was found."""

from minimix.errors import ConfigError


def lists(config: object, **of: str) -> None:
    """Raise ConfigError unless settings are tuples of texts; a text would be read as letters.

    `of` says by the name of each what its texts are.
    """
    for name, what in of.items():
        found = getattr(config, name)
        if not isinstance(found, tuple) or not all(map(_is_said, found)):
            raise ConfigError(f"{name}: expected a list of {what}, found {found!r}")


def _is_said(one: object) -> bool:
    return isinstance(one, str) and one != "" and is_utf8(one)


def scale(config: object, name: str) -> None:
    """Raise ConfigError unless a setting is None or a pair of numbers, the lower first."""
    value = getattr(config, name)
    pair = isinstance(value, list | tuple) and len(value) == 2
    numbers = pair and all(isinstance(one, int | float) for one in value)
    if value is not None and not (numbers and value[0] < value[1]):
        raise ConfigError(f"{name}: expected LOW below HIGH, found {value!r}")


def texts(config: object, *names: str) -> None:
    """Raise ConfigError unless settings are text that a file can hold."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, str) or not is_utf8(value):
            raise ConfigError(f"{name}: expected UTF-8 text, found {value!a}")


def is_utf8(text: str) -> bool:
    """Return whether text can be written: half a character, or a name in other bytes, cannot."""
    return text.encode("utf-8", "replace").decode() == text


def flags(config: object, *names: str) -> None:
    """Raise ConfigError unless settings are true or false."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise ConfigError(f"{name}: expected true or false, found {value!r}")


def one_of(config: object, name: str, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless a setting is one of `choices`."""
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(f"{name}: expected {' or '.join(choices)}, found {value!r}")


def at_least(config: object, **bounds: int) -> None:
    """Raise ConfigError unless settings are whole numbers of at least their bound."""
    for name, low in bounds.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < low:
            raise ConfigError(f"{name}: expected at least {low}, found {value!r}")


def between(config: object, name: str, low: float, high: float) -> None:
    """Raise ConfigError unless a setting is a number from `low` to `high`."""
    value = getattr(config, name)
    if not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{name}: expected {low:g}..{high:g}, found {value!r}")
