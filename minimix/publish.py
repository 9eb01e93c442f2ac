"""An output folder on the hub, as a data set that `datasets.load_dataset` reads by its name."""

from pathlib import Path

from minimix import __version__
from minimix.errors import ConfigError, OutputError, brief
from minimix.extras import need
from minimix.journal import FOLDER as JOURNAL
from minimix.journal import LEDGER

LOG_IN = "no token for the hub; run 'hf auth login', or set HF_TOKEN"


def check_repo(repo: str) -> None:
    """Raise ConfigError where nothing could be pushed to `repo`, before hours go into a run."""
    hub, errors = need("huggingface_hub"), need("huggingface_hub.errors")
    try:
        need("huggingface_hub.utils").validate_repo_id(repo)
    except errors.HFValidationError as error:
        raise ConfigError(f"push_to_hub: expected owner/name ({brief(error)})") from error
    if not hub.get_token():
        raise ConfigError(f"push_to_hub: {LOG_IN}")


def push(folder: Path, repo: str) -> str:
    """Upload an output folder, all but its journal, and return the address of the data set.

    One that is new is private. Raises OutputError where the hub does not take it; what lies in
    `folder` stays as it is.
    """
    check_repo(repo)
    if not (folder / LEDGER).exists():
        raise OutputError(f"{folder}: no output of minimix")
    refused, unreached = need("huggingface_hub.errors").HfHubHTTPError, need("httpx").HTTPError
    api = need("huggingface_hub").HfApi(library_name="minimix", library_version=__version__)
    try:
        made = api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=made.repo_id,
            repo_type="dataset",
            commit_message=f"Distilled by minimix {__version__}",
            ignore_patterns=[f"{JOURNAL}/**", ".*"],
        )
    except (refused, unreached, OSError, ValueError, RuntimeError) as error:
        raise OutputError(
            f"{repo}: not uploaded ({type(error).__name__}: {brief(error)}); "
            f"{folder} is whole: start the same command again"
        ) from error
    return str(made)
