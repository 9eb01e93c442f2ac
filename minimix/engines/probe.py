"""`python -m minimix.engines.probe FILE REPACK`: one decode, so that a crash stays in a child."""

import sys
from pathlib import Path

from minimix.engines.llama import Batcher
from minimix.engines.model import LlamaModel
from minimix.engines.sampling import Sampling


def main() -> None:
    """Generate a few tokens from the model named on the command line."""
    sampling = Sampling(candidates=1, temperature=0.0, top_p=1.0, seed=0)
    with LlamaModel(Path(sys.argv[1]), repack=sys.argv[2] == "1") as model:
        batcher = Batcher(model, sampling, threads=1, parallel=1)
        list(batcher.run([[{"role": "user", "content": "Say yes. " * 8}]], context=256, new=4))


if __name__ == "__main__":
    main()
