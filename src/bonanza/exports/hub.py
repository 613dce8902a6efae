"""Uploads a dataset folder to the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path

from bonanza.errors import BonanzaError, EndpointError, MissingExtraError, SettingsError, UsageError

TOKEN = "HF_TOKEN"  # noqa: S105 - a name


def push(folder: Path, name: str) -> str:
    """Upload the folder as a dataset, private if it is new; data of an earlier upload is replaced. Gives its address.

    Raises
    ------
    UsageError
        Without a token, or if the hub refuses token or name.
    EndpointError
        If the hub cannot be reached or breaks off.
    """
    try:
        from huggingface_hub import HfApi
    except ModuleNotFoundError:
        raise MissingExtraError("--push-to-hub", "hf") from None
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise SettingsError(
            f"--push-to-hub {name}: no token. {folder} is written; set {TOKEN} to a token that may write, and give the "
            "same command again."
        )
    try:
        client = HfApi(token=token)
        address = client.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        client.upload_folder(
            repo_id=address.repo_id, folder_path=folder, repo_type="dataset", delete_patterns="data/*",
            commit_message="Pairs chosen by bonanza",
        )  # fmt: skip
    except Exception as error:  # whatever the client lets through: errors of HTTP, of the system, and its own
        raise _failure(_cause(error), folder, name, token) from None
    return str(address)


def _cause(error: Exception) -> BaseException:
    """What broke the upload of a file, of which the client only names the file."""
    return (error.__cause__ or error) if type(error) is RuntimeError else error


def _failure(error: BaseException, folder: Path, name: str, token: str) -> BonanzaError:
    """What to say of a failed upload; never the token."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    said = f"{type(error).__name__}: {error}".replace(token, "***")
    written = f"{folder} is written"
    if isinstance(error, HFValidationError):
        return SettingsError(f"--push-to-hub {name}: not a name the hub allows ({said}). {written}.")
    if isinstance(error, HfHubHTTPError) and 400 <= error.response.status_code < 500:
        return UsageError(
            f"--push-to-hub {name}: the hub refuses ({said}). {written}; mend the name, or the token in {TOKEN}, and "
            "give the same command again."
        )
    return EndpointError(f"--push-to-hub {name}: not uploaded ({said}). {written}; the same command tries again.")
