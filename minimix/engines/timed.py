"""A time for a reply as a whole, from the request's last byte to its own.

httpx bounds the time of each read. A server that drips its headers, or never ends its `100
Continue`, keeps every read short and is never done.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any

import httpcore

WHOLE_S = 600.0
"""From here on what is still not there is not waited for, however steadily bytes come."""


class Stream(httpcore.NetworkStream):
    """A connection on which a reply may take WHOLE_S after what was last sent."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        """Take a connection over."""
        self.inner, self.sent = inner, time.monotonic()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return bytes. Raises httpcore.ReadTimeout where the reply takes too long."""
        left = self.sent + WHOLE_S - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout(f"a reply that is not whole after {WHOLE_S:.0f} s")
        return self.inner.read(max_bytes, left if timeout is None else min(left, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        self.inner.write(buffer, timeout)
        self.sent = time.monotonic()

    def close(self) -> None:
        """Close it."""
        self.inner.close()

    def start_tls(self, *given: Any, **named: Any) -> httpcore.NetworkStream:
        """Return the connection in TLS."""
        return Stream(self.inner.start_tls(*given, **named))

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self.inner.get_extra_info(info)


class Backend(httpcore.SyncBackend):
    """What opens connections."""

    def connect_tcp(self, *given: Any, **named: Any) -> httpcore.NetworkStream:
        """Return a connection whose replies have their time."""
        return Stream(super().connect_tcp(*given, **named))


def bound(client: Any) -> Any:
    """Return an httpx client whose replies have their time, through a proxy or not.

    What httpcore would log of them on its lowest level is not logged: a server may quote the key.

    httpx lets nobody choose what opens its connections without losing the proxies of the
    environment, so it is put where httpx keeps it (a test notices when that moves).
    """
    transports: Iterable[Any] = [client._transport, *client._mounts.values()]
    for transport in filter(None, transports):
        transport._pool._network_backend = Backend()
    logging.getLogger("httpcore").setLevel(logging.INFO)
    return client
