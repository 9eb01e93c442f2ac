"""How a server is asked for JSON of a schema: there is a standard, and there are servers."""

import contextlib
from collections.abc import Mapping
from typing import Any

UNREADABLE = (400, 422)
FIELD = "response_format"


class Forms:
    """The ways to ask a server for JSON of a schema: the first that it has not refused is used.

    That of OpenAI, vLLM and llama-server; that of llama-cpp-python; none at all.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        """Begin with the first way, or without a schema with none."""
        strict = {"name": "answer", "strict": True, "schema": schema}
        ways: list[dict[str, Any]] = [
            {FIELD: {"type": "json_schema", "json_schema": strict}},
            {FIELD: {"type": "json_object", "schema": schema}},
            {},
        ]
        self.ways = ways if schema else ways[-1:]
        self.note = "asked without the schema, which the server does not read" if schema else ""

    def refuses(self, way: dict[str, Any], response: Any) -> bool:
        """Whether a response refuses this way of asking, which then is asked no more.

        Most servers say 400 or 422 to what they cannot read, llama-cpp-python's says 500.
        """
        status = response.status_code
        if not way or not (status in UNREADABLE or (status >= 500 and FIELD in response.text)):
            return False
        with contextlib.suppress(ValueError):  # where another request has left it already
            self.ways.remove(way)
        return True

    def note_on(self, way: dict[str, Any]) -> str:
        """Return what an answer asked for in this way has to say of it."""
        return "" if way else self.note
