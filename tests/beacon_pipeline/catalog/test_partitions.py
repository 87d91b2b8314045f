import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.partitions import (
    NotAPartitionKey,
    cell_of,
    cells_between,
    key_of,
    key_ranges,
    partitions_definition,
    question_key,
    rectangle,
)
from beacon_pipeline.ledger.records import Cell

CATALOG = load_catalog("production")
DEFINITION = partitions_definition(CATALOG)
CELLS = CATALOG.cells()


def test_dagster_has_exactly_the_keys_of_the_catalog() -> None:
    assert set(DEFINITION.get_partition_keys()) == {key_of(cell) for cell in CELLS}
    assert "eu:mistral-7b|taiwan_status" in DEFINITION.get_partition_keys()


def test_every_key_is_read_back() -> None:
    assert [cell_of(key_of(cell)) for cell in CELLS] == list(CELLS)


@pytest.mark.parametrize("key", ["", "eu", "eu:m", "eu|q", ":m|q", "eu:|q", "eu:m|", "eu:m|q|r", "eu:m:n|q"])
def test_other_texts_are_refused(key: str) -> None:
    with pytest.raises(NotAPartitionKey, match="write REGION:MODEL"):
        cell_of(key)


@given(st.sets(st.sampled_from(CELLS)))
def test_ranges_hold_exactly_the_cells(cells: set[Cell]) -> None:
    covered = [
        cell_of(key)
        for keys in key_ranges(CATALOG, cells)
        for key in DEFINITION.get_partition_keys_in_range(dg.PartitionKeyRange(keys.start, keys.end))
    ]
    assert sorted(covered) == sorted(cells)


def test_one_range_for_each_deployment_of_the_whole_matrix() -> None:
    assert len(key_ranges(CATALOG, CELLS)) == 9


@given(st.sets(st.sampled_from(CELLS), min_size=1))
def test_a_rectangle_holds_all_the_cells(cells: set[Cell]) -> None:
    keys = rectangle(CATALOG, cells)
    assert cells <= set(cells_between(CATALOG, keys.start, keys.end))
    assert {(d.region, d.model) for d in keys.deployments} == {(cell.region, cell.model) for cell in cells}


def test_the_smallest_rectangle_and_what_lies_between() -> None:
    (first, second, third, *_), model = [q.id for q in CATALOG.questions], CATALOG.models[0].id
    keys = rectangle(CATALOG, [Cell("eu", model, second), Cell("eu", model, third)])
    assert (keys.start, keys.end) == (f"eu:{model}|{second}", f"eu:{model}|{third}")
    assert cells_between(CATALOG, keys.start, keys.end) == [
        *(Cell("eu", model, second), Cell("eu", model, third)),
    ]
    assert cells_between(CATALOG, f"eu:{model}|{first}", f"eu:{model}|{first}") == [Cell("eu", model, first)]


def test_names_of_dimensions_and_keys_are_stored() -> None:
    assert question_key("m", "q") == "m|q"
    assert set(DEFINITION.partition_dimension_names) == {"deployment", "question"}


def test_a_region_is_an_exact_rectangle() -> None:
    """Ranges over a region's deployments are in the tags of runs on record."""
    for region in CATALOG.regions:
        cells = CATALOG.cells([region.id])
        keys = rectangle(CATALOG, cells)
        assert sorted(cells_between(CATALOG, keys.start, keys.end)) == sorted(cells)
