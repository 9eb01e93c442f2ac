"""OpenAI-compatible servers as one engine: llama-server, vLLM, or hosted ones."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from minimix.engines.endpoint import DECLINED, Endpoint, escaped, escapes, find
from minimix.engines.forms import Forms
from minimix.engines.places import Request, Standing, Work
from minimix.engines.sampling import Sampling, candidate_seed
from minimix.errors import ModelError
from minimix.records import Answer, Engine, Messages

ANSWERED = ("stop", "length")


@dataclass(frozen=True)
class Servers:
    """Whom to ask, for which model, and how; `parallel` requests at a time of each server."""

    endpoints: tuple[Endpoint, ...]
    standings: tuple[Standing, ...]
    model: str
    sampling: Sampling
    new: int
    parallel: int

    @property
    def addresses(self) -> str:
        """All addresses, as messages and ledgers name them."""
        return ", ".join(endpoint.address for endpoint in self.endpoints)

    def generate(self, chats: Sequence[Messages]) -> Iterator[Answer]:
        """Yield every candidate of every chat as its request ends.

        A request that fails for good yields an answer marked "failed", a prompt too long for the
        server, or one that it will not answer though it answers others, one marked "refused".
        Raises ModelError where a server refuses all that is asked (4xx), after the answers that
        were there by then.
        """
        declined, others = "", False
        with closing(self._answers(chats)) as answers:
            for answer in answers:
                declined = answer.note if answer.note.startswith(DECLINED) else declined
                others = others or answer.finish in ANSWERED
                yield answer
        if declined and not others:
            raise ModelError(f"{self.addresses}: {declined}")

    def _answers(self, chats: Sequence[Messages]) -> Generator[Answer]:
        """Yield the answers; a body is made when a place is free for it, and not before."""
        candidates = range(self.sampling.candidates)
        requests = [Request(task, one) for task in range(len(chats)) for one in candidates]
        if not requests:
            return
        work, places = Work(requests, self.standings), min(self.parallel, len(requests))
        done: SimpleQueue[Answer | None] = SimpleQueue()

        def serve(server: int, client: Any, forms: Forms) -> None:
            endpoint = self.endpoints[server]
            try:
                while request := work.take(server):
                    body = self._body(chats[request.task], request.candidate)
                    answer = work.settle(server, request, endpoint.post(client, body, forms))
                    if answer:
                        done.put(answer)
            except BaseException:
                work.stop()
                raise
            finally:
                done.put(None)

        with ExitStack() as stack:
            clients = [stack.enter_context(endpoint.client()) for endpoint in self.endpoints]
            pool = stack.enter_context(ThreadPoolExecutor(places * len(clients)))
            stack.callback(work.stop)
            forms = [Forms(self.sampling.schema) for _ in clients]
            workers = [
                pool.submit(serve, server, client, forms[server])
                for _ in range(places)
                for server, client in enumerate(clients)
            ]
            for _ in workers:
                yield from iter(done.get, None)
            for worker in workers:
                worker.result()

    def _body(self, chat: Messages, candidate: int) -> dict[str, Any]:
        greedy = self.sampling.is_greedy(candidate)
        return {
            "model": self.model,
            "messages": [escaped(message) for message in chat],
            "max_tokens": self.new,
            "temperature": 0.0 if greedy else self.sampling.temperature,
            "top_p": 1.0 if greedy else self.sampling.top_p,
            "seed": candidate_seed(self.sampling.seed, repr(chat).encode(), candidate),
            **self.sampling.for_servers(),
        }


def connect(
    base_urls: Sequence[str], model: str, *, sampling: Sampling, new: int, parallel: int
) -> Engine:
    """Return the engine behind `base_urls`; without a `model` name the first server's first.

    Raises ModelError where nobody answers at one of them, or one of several has another model.
    """
    found = [find(base_url) for base_url in base_urls]
    first, response = found[0]
    model = model or first.models(response)[0]
    for endpoint, response in found if len(found) > 1 else ():
        names = endpoint.models(response)
        if model not in names:
            listed = ", ".join(map(repr, names[:8]))
            raise ModelError(f"{endpoint.address}: expected the model {model!r}, found {listed}")
    endpoints = tuple(endpoint for endpoint, _ in found)
    standings = tuple(Standing() for _ in found)
    servers = Servers(endpoints, standings, model, sampling, new, parallel)
    addresses = [endpoint.address for endpoint in endpoints]
    settings = {"parallel": parallel, "model": model, "servers": addresses}
    name = f"{model} at {servers.addresses}"
    return Engine(servers.generate, name=name, sha256=None, settings=settings, escapes=escapes)
