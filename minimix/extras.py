"""Import a package late, and name the extra that brings it when it is missing.

Late, because `import minimix.cli` must stay quick, and torch alone takes seconds.
"""

import importlib
from typing import Any

from minimix.errors import MissingExtraError


def need(module: str, *, extra: str = "") -> Any:
    """Return the imported `module`.

    Raises MissingExtraError, with the command that installs it, where it is not there.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = f"'minimix[{extra}]'" if extra else "minimix"
        raise MissingExtraError(
            f"'{error.name}' is not installed; run: pip install {package}"
        ) from error
