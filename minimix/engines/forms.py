"""How a server is asked for JSON of a schema: there is a standard, and there are servers."""

from collections.abc import Mapping
from typing import Any

UNREADABLE = (400, 422)
FIELD = "response_format"


def words_of(response: Any) -> str:
    """Return what a server said, as UTF-8 whatever it calls it: an error's text may be anything."""
    return bytes(response.content).decode("utf-8", "replace")


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
        """Whether a response may refuse this way of asking.

        Most servers say 400 or 422 to what they cannot read, llama-cpp-python's says 500. Some say
        it to a text that they will not answer, whichever way they are asked.
        """
        status = response.status_code
        return bool(way) and (
            status in UNREADABLE or (status >= 500 and FIELD in words_of(response))
        )

    def settle(self, way: dict[str, Any]) -> None:
        """Ask no more in the ways before `way`, which has been answered."""
        if way in self.ways:  # another request may have settled on a later one
            self.ways = self.ways[self.ways.index(way) :]

    def note_on(self, way: dict[str, Any]) -> str:
        """Return what an answer asked for in this way has to say of it."""
        return "" if way else self.note
