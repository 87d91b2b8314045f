"""A catalog of one's own, made from one that ships."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from beacon_pipeline.catalog import SHIPPED, Catalog, CatalogError, load_catalog

WEIGHTS = "weights"  # the folder, in the catalog's, of models whose weights ship


def make_catalog(folder: Path, shipped: str) -> Catalog:
    """Copy a shipped catalog, with the weights it has in folders, into ``folder``, new or empty.

    Raises CatalogError where the folder holds something, and OSError; then nothing of it is left.
    """
    folder = folder.absolute()
    if folder.is_dir() and any(folder.iterdir()):
        raise CatalogError([f"{folder} is not empty: choose a folder that is new or empty"])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        new = Path(made) / folder.name
        new.mkdir()
        for file in sorted((SHIPPED / shipped).glob("*.yaml")):
            shutil.copyfile(file, new / file.name)
        _bring_weights(new, SHIPPED / shipped)
        catalog = load_catalog(str(new))
        if folder.is_dir():  # it may be the one that the shell is in, and stays that
            for entry in new.iterdir():
                entry.replace(folder / entry.name)
        else:
            new.replace(folder)
    return catalog.model_copy(update={"folder": folder.resolve()})


def _bring_weights(new: Path, old: Path) -> None:
    path = new / "models.yaml"
    text = path.read_text(encoding="utf-8")
    # From the last to the first, so that the places of the others stay true; the comments are kept.
    for value in reversed(_folders_in(text)):
        weights = (old / value.value).resolve()
        brought = f"{WEIGHTS}/{weights.name}"
        _copy(weights, new / brought)
        text = text[: value.start_mark.index] + brought + text[value.end_mark.index :]
    path.write_text(text, encoding="utf-8")


def _copy(weights: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)  # two entries may have the same weights
    for file in sorted(weights.iterdir()):
        shutil.copyfile(file, to / file.name)


def _folders_in(text: str) -> list[yaml.ScalarNode]:
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)  # of a catalog that ships
    (_, models), *_ = root.value
    return list(_folders_within(models))


def _folders_within(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """The values of every key `folder`, in the order of the text."""
    for item in node.value if isinstance(node, yaml.SequenceNode) else []:
        yield from _folders_within(item)
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if key.value == "folder":
            yield value
        else:
            yield from _folders_within(value)
