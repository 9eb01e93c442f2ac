"""A reply whole, or not at all: a server may drip its bytes for ever, or send more than fits."""

import time
from typing import Any

from minimix.extras import need

WHOLE_S = 600.0
"""From here on what is still not there is not waited for, however steadily bytes come."""
LARGEST = 16 * 2**20
"""Bytes of a reply: the longest answers take a thousandth of it."""
KEPT = (b"location", b"retry-after")


def received(client: Any, method: str, path: str, **asked: Any) -> Any:
    """Return the reply to a request, its text as UTF-8 whatever it calls itself.

    Raises httpx.RequestError where it does not come, comes too slowly or is too large.
    """
    httpx = need("httpx")
    data, start = bytearray(), time.monotonic()
    try:
        with client.stream(method, path, **asked) as response:
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > LARGEST:
                    raise httpx.RemoteProtocolError(f"a reply of more than {LARGEST:,} bytes")
                if time.monotonic() - start > WHOLE_S:
                    raise httpx.ReadTimeout(f"a reply that is not whole after {WHOLE_S:.0f} s")
    except httpx.InvalidURL as error:  # httpx reads it, though it does not go there
        raise httpx.RemoteProtocolError(f"a redirect to no address: {error}") from error
    headers = [(name, value) for name, value in response.headers.raw if name.lower() in KEPT]
    return httpx.Response(response.status_code, headers=headers, content=bytes(data))
