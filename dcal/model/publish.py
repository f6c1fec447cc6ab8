"""Checkpoints on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from dcal.errors import CheckpointError, DCALError
from dcal.model.checkpoint import CARD, CONFIG, METRICS, WEIGHTS, check_safetensors, read_config

PUBLISHED = (WEIGHTS, CONFIG, METRICS, CARD, "evaluation.json", "analysis.json", "calibration.json")


def push_checkpoint(checkpoint: str | Path, repository: str, private: bool, message: str) -> str:
    """Upload a checkpoint directory in one commit to `repository` (OWNER/NAME), made if needed; its address.

    Of the directory only `PUBLISHED` is sent, so a gallery, which may hold images, stays. Raises CheckpointError if it
    is no checkpoint, DCALError if the Hub refuses or cannot be reached, with what it said.
    """
    from huggingface_hub import HfApi  # slow to import, and seldom needed
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    place = Path(checkpoint)
    read_config(place)
    check_safetensors(place / WEIGHTS)
    if repository.count("/") != 1:
        raise DCALError(f"{repository!r} is no name of a repository: it is OWNER/NAME")
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=place, allow_patterns=list(PUBLISHED), commit_message=message
        )
    except (HfHubHTTPError, LocalTokenNotFoundError) as error:
        raise CheckpointError(
            f"the Hub refused {repository}: {first_line(error)}. Log in (`hf auth login`) as one who may write there"
        ) from error
    except (HFValidationError, OfflineModeIsEnabled, OSError, RuntimeError) as error:
        raise CheckpointError(f"{repository} was not uploaded: {first_line(error)}") from error
    return str(done.commit_url)


def first_line(error: BaseException) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text.strip().rstrip(".")
