"""A reply whole, or not at all: a server may send more than fits, or what unpacks to more."""

from typing import Any

from minimix.extras import need

LARGEST = 16 * 2**20
"""Bytes of a reply: the longest answers take a thousandth of it."""
PLAIN = {"Accept-Encoding": "identity"}
KEPT = (b"location", b"retry-after", b"date")


def received(client: Any, method: str, path: str, **asked: Any) -> Any:
    """Return the reply to a request, its text as UTF-8 whatever it calls itself.

    Raises httpx.RequestError where it does not come, is too large, or comes compressed, which was
    not asked for: 100 KB can unpack to 4 GB at once.
    """
    httpx = need("httpx")
    data = bytearray()
    try:
        with client.stream(method, path, headers=PLAIN, **asked) as response:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.strip().lower() not in ("", "identity"):
                raise httpx.RemoteProtocolError("a compressed reply, which was not asked for")
            for chunk in response.iter_raw():
                data += chunk
                if len(data) > LARGEST:
                    raise httpx.RemoteProtocolError(f"a reply of more than {LARGEST:,} bytes")
    except httpx.InvalidURL as error:  # httpx reads it, though it does not go there
        raise httpx.RemoteProtocolError(f"a redirect to no address: {error}") from error
    headers = [(name, value) for name, value in response.headers.raw if name.lower() in KEPT]
    return httpx.Response(response.status_code, headers=headers, content=bytes(data))
