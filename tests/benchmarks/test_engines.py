"""The comparison of engines runs as a whole on a small model, and publishes nothing from a CPU."""

import pytest
from click.testing import CliRunner

from benchmarks.engines import TABLE, main


def test_every_way_is_measured_on_a_tiny_model_and_nothing_is_written() -> None:
    before = TABLE.read_text() if TABLE.exists() else None
    done = CliRunner().invoke(main, ["--tiny"], catch_exceptions=False)
    assert done.exit_code == 0
    ways = [
        line.split("|")[2].strip() for line in done.output.splitlines() if line.startswith("| tiny-llama")
    ]
    assert ways[:4] == ["one by one", "batches of 8", "one batch of 6", "continuous batching"]
    assert "shows that the script works, and nothing about the engines" in done.output
    assert (TABLE.read_text() if TABLE.exists() else None) == before


def test_without_cuda_it_says_so_and_measures_nothing() -> None:
    import torch  # seconds: not for every process that collects this

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 1
    assert done.output == "Error: no CUDA device here: run it on a GPU machine, or try it with --tiny\n"
