"""Texts as codes of words: nothing is lost, and the codes are those that the page's script reads."""

from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.findings import page
from beacon_pipeline.findings.packed import ONE, THREE, TWO, Packed, code_of, packed_texts
from tests.beacon_pipeline.findings.hostile import corpus


def spelled(packed: Packed, codes: bytes) -> list[str]:
    """As `data.js` does it."""
    found, at = [], 0
    for size in packed["sizes"]:
        text, end = "", at + size
        while at < end:
            lead = codes[at]
            more, first = next(
                (more, first)
                for limit, more, first in (
                    (128, 0, 0),
                    (240, 1, ONE - (128 << 8)),
                    (255, 2, ONE + TWO - (240 << 16)),
                    (256, 3, ONE + TWO + THREE - (255 << 24)),
                )
                if lead < limit
            )
            text += packed["words"][first + int.from_bytes(codes[at : at + more + 1], "big")]
            at += more + 1
        found.append(text)
    return found


@given(st.lists(st.text(st.characters())))
def test_any_texts_are_spelled_again(texts: list[str]) -> None:
    assert spelled(*packed_texts(texts)) == texts


def test_hostile_texts_and_words_with_codes_of_three_bytes() -> None:
    many = " ".join(map(str, range(ONE + TWO)))
    texts = [*corpus("http://outside.example").values(), many]
    assert spelled(*packed_texts(texts)) == texts


def test_codes_by_their_borders_as_the_script_reads_them() -> None:
    borders = [0, ONE - 1, ONE, ONE + TWO - 1, ONE + TWO, ONE + TWO + THREE - 1, ONE + TWO + THREE]
    assert [code_of(place).hex() for place in borders] == [
        *("00", "7f", "8000", "efff", "f00000", "feffff", "ff000000"),
    ]
    script = files(page).joinpath("data.js").read_text(encoding="utf-8")
    assert all(str(place) in script for place in (ONE, ONE + TWO, ONE + TWO + THREE))
