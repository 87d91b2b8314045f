"""In which language a text is: by its script, and by function words where several share one."""

from __future__ import annotations

import re
from collections import Counter

_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "han": re.compile(r"[\u3400-\u9fff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "latin": re.compile(r"[a-zà-öø-ÿœ]", re.IGNORECASE),
}
# The commonest words that are not words of the others; a person can check them at a glance.
_WORDS = {
    "en": "the of and to is that this i'm i for with it you not are was be or cannot can't sorry as an by",
    "fr": "le la les des du est et je ne pas que une un pour dans sur vous désolé qui avec ce cette j' suis "
    "sont aux par mais nous c'est au il elle ou été",
    "de": "der die das und ist ich nicht ein eine zu den mit es auf für von dem leider kann keine sie wir "
    "aber als im zur sind wird auch bei werden des",
    "es": "el los las de que y en no es una un por para con lo siento se su como pero puedo sobre este esta "
    "más del al son fue",
    "fi": "ja on en ei että se olen voi en mutta tämä kun ovat sen joka ole valitettavasti anteeksi pysty "
    "minä myös kuin oli siitä tai tästä sitä minulla tekoälynä pahoillani",
}
_INDEX = {name: frozenset(words.split()) for name, words in _WORDS.items()}
# Finnish has few function words and shares "en" and "on"; its endings and long vowels are its own.
_FINNISH = re.compile(r"(?:aa|ää|uu|yy|ii|ss[aä]\b|st[aä]\b|ll[aä]\b|v[aä]t\b|y[oö]|ä)")
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
# The same characters, common in any text, in their two spellings.
_TRADITIONAL = frozenset(
    "無們這請問題論關對應該說話創寫評議讓換會個體見觀點場違實當與為發現給從認識國過還導員"
)
_SIMPLIFIED = frozenset(
    "无们这请问题论关对应该说话创写评议让换会个体见观点场违实当与为发现给从认识国过还导员"
)
LANGUAGES = ("en", "zh-hans", "zh-hant", "fr", "de", "es", "ja", "ar", "ru", "fi")
UNKNOWN = "und"


def language_of(text: str) -> str:
    """One of LANGUAGES, or `und`. ``text``: lower case, a few hundred characters are enough."""
    counts = Counter({name: len(script.findall(text)) for name, script in _SCRIPTS.items()})
    if not counts.total():
        return UNKNOWN
    wide = counts["ja"] + counts["han"]
    if wide * 3 > counts["latin"] and wide > max(
        counts["ar"], counts["ru"]
    ):  # a wide character is a syllable
        if counts["ja"] * 8 > counts["han"]:
            return "ja"
        return "zh-hant" if _count(text, _TRADITIONAL) > _count(text, _SIMPLIFIED) else "zh-hans"
    script = max(("latin", "ar", "ru"), key=lambda name: counts[name])
    return _of_latin(text) if script == "latin" else script


def _count(text: str, characters: frozenset[str]) -> int:
    return sum(character in characters for character in text)


def _of_latin(text: str) -> str:
    tokens = Counter(_TOKEN.findall(text))
    shares = {name: sum(tokens[word] for word in words) for name, words in _INDEX.items()}
    shares["fi"] += sum(count for word, count in tokens.items() if len(_FINNISH.findall(word)) > 1)
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] else UNKNOWN
