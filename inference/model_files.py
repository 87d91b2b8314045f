"""The files of a model: which are needed, how they get here, and what their digests are.

Only what is loaded is downloaded and hashed: a repository may hold its weights twice, in other
formats or in one piece (``consolidated.safetensors`` of Mistral's, ``original/`` of Meta's).
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.contract import ModelSource

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# What makes an answer besides the weights: configuration, tokenizer and chat template. Never code.
SMALL_FILES = ("*.json", "*.jinja", "*.model", "tokenizer*", "merges.txt", "vocab.txt")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelUnavailable(Exception):
    """The model cannot be loaded as asked for: missing, not the pinned files, or unfit to chat."""


class HubUnreachable(ModelUnavailable):
    """The repository's host did not answer, or not now: a later try may load the model."""


def folder_of(source: ModelSource, cache_dir: Path | None = None) -> Path:
    """Where the files of a model are, downloaded into ``cache_dir`` where they have to be.

    Raises ModelUnavailable, also for a local folder that is not the pinned one, and HubUnreachable.
    """
    if source.folder is None:
        return _downloaded(source, cache_dir)
    folder = Path(source.folder)
    if not folder.is_dir():
        raise ModelUnavailable(f"{source.id}: no folder {folder}")
    found = folder_revision(folder)
    if found != source.revision:
        raise ModelUnavailable(
            f"{source.id}: the files in {folder} have revision {found}, not the pinned {source.revision}: "
            "if they are meant, write that revision into models.yaml"
        )
    return folder


def folder_revision(folder: Path) -> str:
    """sha256 over everything in a folder that makes an answer: weights, configuration, tokenizer and
    chat template. Another file changes it; a README does not. Raises ModelUnavailable."""
    small = {path for path in folder.iterdir() if path.is_file() and _is_small_file(path.name)}
    return _digest_of(sorted(small | set(weight_files(folder))), listed=True)


def weight_files(folder: Path) -> list[Path]:
    """The files that the weights are loaded from. Raises ModelUnavailable."""
    names = _shards(folder / INDEX) if (folder / INDEX).is_file() else {WHOLE}
    files = [folder / name for name in sorted(names)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ModelUnavailable(
            f"no safetensors weights in {folder}: {', '.join(missing)} missing; other formats are not loaded"
        )
    return files


def weights_sha256(folder: Path) -> str:
    """sha256 of the weights; of several files, of the list of their digests and names, in order."""
    return _digest_of(weight_files(folder))


def tokenizer_sha256(folder: Path) -> str:
    """sha256 of ``tokenizer.json``, or of the files that stand in its place."""
    whole = folder / "tokenizer.json"
    patterns = ("tokenizer*", "*.model", "vocab.*", "merges.txt")
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return _digest_of([whole] if whole.is_file() else files)


def _downloaded(source: ModelSource, cache_dir: Path | None) -> Path:
    folder = _snapshot(source, cache_dir, SMALL_FILES)
    names = _shards(folder / INDEX) if (folder / INDEX).is_file() else {WHOLE}
    return _snapshot(source, cache_dir, sorted(names))


def _snapshot(source: ModelSource, cache_dir: Path | None, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = snapshot_download(
            str(source.repository),
            revision=source.revision,
            cache_dir=cache_dir,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],  # a pattern's star would cross folders
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        # Without a copy in the cache, a failed connection is told as a missing local entry.
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        passing = isinstance(error, LocalEntryNotFoundError) or (status is not None and _may_pass(status))
        raise (HubUnreachable if passing else ModelUnavailable)(
            f"{source.id}: {source.repository} at {source.revision}: {first_line(error)}"
        ) from error
    return Path(path)


def _may_pass(http_status: int) -> bool:
    return http_status == 429 or http_status >= 500


def _shards(index: Path) -> set[str]:
    """The names of the weight files, as the index of a model in several pieces lists them."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{index} lists no weight files: {first_line(error)}") from error
    unfit = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if unfit or not names:
        raise ModelUnavailable(f"{index} lists no weight files beside itself: {unfit[:3]}")
    return names


def _is_small_file(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in SMALL_FILES)


def _digest_of(files: Sequence[Path], *, listed: bool = False) -> str:
    """sha256 of a file; of several, or ``listed``, of the list of their digests and names, in order."""
    digests = [_sha256(file) for file in files]
    if len(files) == 1 and not listed:
        return digests[0]
    listing = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def _sha256(file: Path) -> str:
    """sha256 of a file. The Hub's cache keeps large files under their sha256 as the commit has it, and
    links to them: that one is taken, for hashing 15 GB at each cold start costs GPU time."""
    if file.is_symlink():
        blob = file.resolve()
        if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
            return blob.name
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnavailable(f"cannot read {file}: {error.strerror}") from error


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(folder_revision(Path(argument)), argument)  # noqa: T201 - a command's output
