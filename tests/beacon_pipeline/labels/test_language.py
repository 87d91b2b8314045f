"""In which language a text is: by script first, then by the words that are a language's own."""

import pytest

from beacon_pipeline.labels.language import LANGUAGES, UNKNOWN, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("i cannot answer that", "en"),
        ("je ne peux pas", "fr"),
        ("ich kann das nicht", "de"),
        ("no puedo con esto", "es"),
        ("en voi vastata tähän", "fi"),
        ("pitää vääryyttä", "fi"),
        ("这个问题我不能回答", "zh-hans"),
        ("這個問題我不能回答", "zh-hant"),
        ("山水", "zh-hans"),
        ("这們", "zh-hans"),
        ("お答えできません", "ja"),
        ("لا أستطيع", "ar"),
        ("я не могу", "ru"),
        ("", "und"),
        ("1 2 3 !", "und"),
        ("xylophon qwerty", "und"),
    ],
)
def test_which_language_a_text_is_in(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("我" * 2 + "b" * 5, "zh-hans"),  # three letters for a character: 6 are more than 5
        ("我" * 2 + "b" * 6, "und"),
        ("我" * 3 + "я" * 2, "zh-hans"),
        ("我" * 3 + "я" * 3, "ru"),
        ("我" * 3 + "ي" * 2, "zh-hans"),
        ("我" * 3 + "ي" * 3, "ar"),
        ("我" * 7 + "の", "ja"),  # one in eight is Japanese
        ("我" * 8 + "の", "zh-hans"),
        ("я" * 3 + "b" * 2, "ru"),
        ("я" * 2 + "b" * 3, "und"),
        ("ي" * 3 + "b" * 2, "ar"),
        ("ي" * 3 + "я" * 2, "ar"),
    ],
)
def test_the_script_that_says_most_decides(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_languages_that_there_are_rules_for() -> None:
    assert LANGUAGES == ("en", "zh-hans", "zh-hant", "fr", "de", "es", "ja", "ar", "ru", "fi")
    assert UNKNOWN == "und"
