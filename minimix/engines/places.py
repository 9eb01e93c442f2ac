"""Requests shared among servers: who has a free place takes the next, and none gets lost.

A request that one server failed is tried on another, if there is one, before the same server is
asked again. A server that does nothing but fail is left alone for a while, as long as another one
lives; then one request tries whether it is back.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Condition

from minimix.engines.endpoint import Reply
from minimix.records import Answer

TRIES = 5
"""Times that a request is tried on every server that lives before it has failed."""
WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""The pause before a server is asked the same again doubles from try to try."""
LONGEST_HEARD_S = 300.0
"""How long a Retry-After is heeded at most."""
GIVE_UP = 3
"""Failures in a row from which a server is left alone; those in flight together count as one."""
REST_S, LONGEST_REST_S = 60.0, 3600.0


@dataclass(eq=False)
class Standing:
    """How a server has done up to now; times are those of `time.monotonic`."""

    failures: int = 0
    failed_at: float = 0.0
    quiet_until: float = 0.0
    rest_until: float = 0.0

    def fail(self, now: float, *, started: float, wait_s: float) -> None:
        """Note a request that was started at `started` and failed."""
        if wait_s:
            self.quiet_until = max(self.quiet_until, now + min(wait_s, LONGEST_HEARD_S))
        if started < self.failed_at:
            return
        self.failures, self.failed_at = self.failures + 1, now
        if self.failures >= GIVE_UP:
            rest = REST_S * 2.0 ** min(self.failures - GIVE_UP, 16)
            self.rest_until = now + min(rest, LONGEST_REST_S)


@dataclass(eq=False)
class Request:
    """One candidate of one task; `tries` and `ready_at` go by the number of a server."""

    task: int
    candidate: int
    tries: Counter[int] = field(default_factory=Counter)
    ready_at: dict[int, float] = field(default_factory=dict)
    started: float = 0.0


class Work:
    """The requests of one list of chats, and who may do them. Every method may block a thread."""

    def __init__(self, requests: Iterable[Request], standings: Sequence[Standing]) -> None:
        """Begin with nothing in flight; `standings` outlive this list of chats."""
        self.fresh, self.standings = deque(requests), standings
        self.again: list[Request] = []
        self.left = len(self.fresh)
        self.busy = [0] * len(standings)
        self.changed = Condition()

    def stop(self) -> None:
        """Hand out nothing more; what is in flight may end."""
        with self.changed:
            self.left = 0
            self.changed.notify_all()

    def take(self, server: int) -> Request | None:
        """Return the next request for a server as soon as there is one, None when all are done."""
        with self.changed:
            while self.left > 0:
                now = time.monotonic()
                request = self._next(server, now)
                if request:
                    self.busy[server] += 1
                    request.started = now
                    return request
                self.changed.wait(self._pause(now))
        return None

    def settle(self, server: int, request: Request, reply: Reply) -> Answer | None:
        """Return the answer that a reply makes, or None where the request is to be tried again."""
        with self.changed:
            self.busy[server] -= 1
            finish, note = reply.finish, reply.problem
            if finish == "failed":
                self._fail(server, request, reply)
                if min(request.tries[number] for number in self._living()) < TRIES:
                    self.again.append(request)
                    self.changed.notify_all()
                    return None
                note = f"{request.tries.total()} tries: {note}"
            else:
                self.standings[server].failures = 0
            self.left -= 1
            self.changed.notify_all()
            return Answer(request.task, request.candidate, reply.text, finish, note)

    def _fail(self, server: int, request: Request, reply: Reply) -> None:
        now = time.monotonic()
        self.standings[server].fail(now, started=request.started, wait_s=reply.wait_s)
        pause = min(WAIT_S * 2.0 ** request.tries[server], LONGEST_WAIT_S)
        request.tries[server] += 1
        request.ready_at[server] = now + pause * random.uniform(1.0, 1.2)  # noqa: S311

    def _living(self) -> list[int]:
        """Return the servers that have not been given up, or all where none is left."""
        everyone = range(len(self.standings))
        return [one for one in everyone if self.standings[one].failures < GIVE_UP] or [*everyone]

    def _next(self, server: int, now: float) -> Request | None:
        own, living = self.standings[server], self._living()
        if own.quiet_until > now:
            return None
        if server not in living and (own.rest_until > now or self.busy[server]):
            return None
        open_to_all = [one for one in living if self.standings[one].quiet_until <= now]
        for place, request in enumerate(self.again):
            fewest = min((request.tries[one] for one in open_to_all), default=0)
            turn = server not in living or request.tries[server] <= fewest
            if turn and request.ready_at.get(server, 0.0) <= now:
                return self.again.pop(place)
        return self.fresh.popleft() if self.fresh else None

    def _pause(self, now: float) -> float | None:
        """Return the seconds until a time that somebody waits for; None for none."""
        times = [time for one in self.standings for time in (one.quiet_until, one.rest_until)]
        times += [time for request in self.again for time in request.ready_at.values()]
        return min((time - now for time in times if time > now), default=None)
