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
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.contract import ModelSource

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# What makes an answer besides the weights: configuration, tokenizer and chat template. Never code.
SMALL_FILES = ("*.json", "*.jinja", "*.model", "tokenizer*", "merges.txt", "vocab.txt")
_TOKENIZER = ("tokenizer", "vocab", "merges")  # how the names of its files begin
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelUnavailable(Exception):
    """The model cannot be loaded as asked for: missing, not the pinned files, or unfit to chat."""


class HubUnreachable(ModelUnavailable):
    """The repository's host did not answer, or not now: a later try may load the model."""


@dataclass(frozen=True)
class ModelFiles:
    """Where the files of a model are, and what is in them."""

    folder: Path
    weights_sha256: str  # of several files, of the list of their digests and names, in order
    tokenizer_sha256: str  # of tokenizer.json, or of the files that stand in its place


def files_of(source: ModelSource, cache_dir: Path | None = None) -> ModelFiles:
    """The files of a model, downloaded into ``cache_dir`` where they have to be, each read once.

    Raises ModelUnavailable, also for a local folder that is not the pinned one, and HubUnreachable.
    """
    if source.folder is None:
        folder = _downloaded(source, cache_dir)
        hashes = _hashes(folder, names_of_blobs=True)
    else:
        folder = Path(source.folder)
        if not folder.is_dir():
            raise ModelUnavailable(f"{source.id}: no folder {folder}")
        hashes = _hashes(folder)
        if (found := _listed(hashes, hashes)) != source.revision:
            raise ModelUnavailable(
                f"{source.id}: the files in {folder} have revision {found}, not the pinned "
                f"{source.revision}: if they are meant, write that revision into models.yaml"
            )
    return ModelFiles(
        folder, _digest(hashes, weight_files(folder)), _digest(hashes, _tokenizer_files(hashes))
    )


def folder_revision(folder: Path) -> str:
    """sha256 over everything in a folder that makes an answer: weights, configuration, tokenizer and
    chat template. Another file changes it; a README does not. Raises ModelUnavailable."""
    hashes = _hashes(folder)
    return _listed(hashes, hashes)


def weight_files(folder: Path) -> list[Path]:
    """The files that the weights are loaded from. Raises ModelUnavailable."""
    # Where both are there, transformers loads the whole.
    whole = (folder / WHOLE).is_file() or not (folder / INDEX).is_file()
    files = [folder / name for name in sorted({WHOLE} if whole else _shards(folder / INDEX))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ModelUnavailable(
            f"no safetensors weights in {folder}: {', '.join(missing)} missing; other formats are not loaded"
        )
    return files


def _tokenizer_files(files: Collection[Path]) -> list[Path]:
    whole = [file for file in files if file.name == "tokenizer.json"]
    parts = [file for file in files if file.name.startswith(_TOKENIZER) or file.suffix == ".model"]
    return whole or parts


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
        # Without a copy in the cache, a failed connection is reported as a missing local entry.
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


def _hashes(folder: Path, *, names_of_blobs: bool = False) -> dict[Path, str]:
    """The sha256 of each file that makes an answer, in the order of their names."""
    small = {path for path in folder.iterdir() if path.is_file() and _is_small_file(path.name)}
    files = sorted(small | set(weight_files(folder)))
    return {file: (names_of_blobs and _name_of_blob(file)) or _sha256(file) for file in files}


def _digest(hashes: Mapping[Path, str], files: Collection[Path]) -> str:
    return hashes[next(iter(files))] if len(files) == 1 else _listed(hashes, files)


def _listed(hashes: Mapping[Path, str], files: Iterable[Path]) -> str:
    listing = "".join(f"{hashes[file]}  {file.name}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _name_of_blob(file: Path) -> str | None:
    """The sha256 of a large file as the pinned commit has it: the Hub's cache keeps such files under it,
    and links to them. Hashing 15 GB at each cold start would cost GPU time."""
    blob = file.resolve()
    return blob.name if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name) else None


def _sha256(file: Path) -> str:
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
