"""A sentence-transformers model as a function whose vector of a text hangs on nothing but the text.

What else is in a batch decides how far a text is padded and how sums are cut into parts, and with
that the last bits. So texts go by their own length in tokens, rounded up; batches of one length
have one shape, filled up with copies where texts run out; and each batch is computed by one thread.
"""

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minimix.errors import ModelError, brief
from minimix.extras import need
from minimix.records import Vectors

STEP = 16
"""Tokens that lengths are rounded up to a multiple of."""
TOKENS = 256
"""Tokens of a batch: 16 texts of 16, one of 256. Larger ones are no faster on a processor."""
STATIC_ROWS = 512
VERSION = 1
"""Of how batches are made; another one gives other bits."""

Batch = tuple[list[int], Vectors]


class Encoder:
    """A model, opened. `width` is that of its vectors; a `static` one sums vectors of words."""

    def __init__(self, folder: str, *, name: str) -> None:
        """Open the model in a folder or on the hub; raises ModelError where it cannot be loaded."""
        transformers = need("sentence_transformers")
        need("transformers").utils.logging.disable_progress_bar()
        try:
            self.model: Any = transformers.SentenceTransformer(
                folder, trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"embedder {name}: cannot be loaded ({brief(error)})") from error
        self.model.eval()
        self.width = int(self.model.get_embedding_dimension())
        self.static = self.model.max_seq_length == math.inf
        self.prompt = self.model.prompts.get(self.model.default_prompt_name or "", "")

    def weights_sha256(self) -> str:
        """Return a hash of the weights as they were loaded, wherever they came from."""
        torch = need("torch")
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def identity(self) -> str:
        """Return a hash of all that the bits of a vector follow from: weights, forms, machine."""
        body = getattr(self.model[0], "auto_model", None)
        packages = map(need, ("sentence_transformers", "transformers"))
        said = [VERSION, STEP, TOKENS, self.weights_sha256(), self.model, self.model.max_seq_length]
        said += [self.prompt, self._tokens(), body.config.to_json_string() if body else ""]
        said += [self._machine(), *(package.__version__ for package in packages)]
        return hashlib.sha256("\0".join(map(str, said)).encode("utf-8", "replace")).hexdigest()[:32]

    def encode(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Yield positions in `texts` and their unit rows, batch by batch, in no order."""
        torch = need("torch")
        batches = list(self._batches(texts))
        inputs = (self._inputs([texts[row] for row in rows], length) for rows, length in batches)
        threads = torch.get_num_threads() if self.model.device.type == "cpu" else 1
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for (rows, _), vectors in zip(batches, pool.map(self._vectors, inputs), strict=True):
                own = list(dict.fromkeys(rows))  # the rest are copies that fill the batch
                yield own, vectors[: len(own)]
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], int]]:
        """Yield the rows of each batch and the length they are padded to, 0 for no padding."""
        lengths = self._lengths(texts)
        for length in sorted(set(lengths)):
            rows = [row for row, own in enumerate(lengths) if own == length]
            size = max(1, TOKENS // length) if length else STATIC_ROWS
            for start in range(0, len(rows), size):
                batch = rows[start : start + size]
                fill = size - len(batch) if length else 0
                yield batch + batch[-1:] * fill, length

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the length in tokens that each text is padded to, 0 where a model does not pad."""
        most = self.model.max_seq_length
        if self.static or not texts:
            return [0] * len(texts)
        prompted = [f"{self.prompt}{text}" for text in texts]
        cut = {"truncation": True, "max_length": most} if most else {}
        ids: Iterable[list[int]] = self.model.tokenizer(prompted, **cut)["input_ids"]
        rounded = [STEP * math.ceil(len(own) / STEP) for own in ids]
        return [min(length, most) if most else length for length in rounded]

    def _inputs(self, texts: list[str], length: int) -> Any:
        """Return what the model is given; tokenizers are no matter for several threads."""
        form = {"text": {"padding": "max_length", "max_length": length}} if length else {}
        return self.model.preprocess(texts, prompt=self.prompt or None, processing_kwargs=form)

    def _vectors(self, inputs: Any) -> Vectors:
        torch = need("torch")
        device = self.model.device
        moved = {k: v.to(device) if torch.is_tensor(v) else v for k, v in inputs.items()}
        with torch.inference_mode():
            found = self.model.forward(moved)["sentence_embedding"].float()[:, : self.width]
            unit: Vectors = torch.nn.functional.normalize(found, dim=1).cpu().numpy()
        return unit

    def _tokens(self) -> str:
        """Return how texts become tokens, without the lengths that the last call set."""
        tokenizer = self.model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not hasattr(backend, "to_str"):
            return repr(sorted(tokenizer.get_vocab().items()))
        form = json.loads(backend.to_str())
        return json.dumps({**form, "truncation": None, "padding": None})

    def _machine(self) -> str:
        """Return what computes: another kind of processor adds in another order."""
        torch = need("torch")
        device = self.model.device
        if device.type == "cuda":
            return f"{torch.__version__} {torch.cuda.get_device_name(device)}"
        kind = torch.backends.cpu.get_cpu_capability()
        return f"{torch.__version__} {platform.machine()} {kind} {device.type}"


def rows_of(batches: Iterable[Batch]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each position and its vector: what progress counts."""
    for rows, vectors in batches:
        yield from zip(rows, vectors, strict=True)
