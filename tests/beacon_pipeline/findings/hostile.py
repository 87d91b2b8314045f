"""Texts that a page, a spreadsheet or a terminal could take for something else than text."""

import sys
import unicodedata

BOMB = "window.obeyed=1"


def corpus(url: str) -> dict[str, str]:
    """By name; ``url`` is where a server listens that must hear nothing."""
    return {
        "script": f"<script>{BOMB}</script><script src='{url}/s.js'></script>",
        "end_of_script": f"</script><script>{BOMB}</script><!--",
        "handler": f"<img src='{url}/i.png' onerror='{BOMB}'><svg onload='{BOMB}'><body onload='{BOMB}'>",
        "frame": f"<iframe src='{url}/f'></iframe><object data='{url}/o'></object><embed src='{url}/e'>",
        "addresses": f"javascript:{BOMB} {url}/bare [a](javascript:{BOMB}) ![b]({url}/m.png) <{url}/auto>",
        "style": f"<style>*{{background:url({url}/c)}}</style><link rel=stylesheet href='{url}/l.css'>",
        "meta": f"<meta http-equiv=refresh content='0;url={url}/r'><base href='{url}/'>",
        "template": "{{ 7*7 }} {% raw %} ${7*7} `${window.obeyed=1}`",
        "attribute": f'" onmouseover="{BOMB}" \'><b autofocus onfocus={BOMB}>',
        "bidi": "admin\u202e\u2066 // dna \u2069\u2066 user\u200b\u200d\ufeff\u2028\u2029",
        "one_line": "A" * 1_000_000,
        "lines": "line\n" * 10_000,
        "categories": "".join(_of_each_category()),
        "surrogate": "\ud800 alone, NUL \x00, a backslash \\",
        "formula": f'=HYPERLINK("{url}/h","x")',
        "plus": "+1+cmd|' /C calc'!A0",
        "at": "@SUM(1)",
        "minus": "-2+3",
        "tab": "\t=1+1",
        "feed": "\n=1+1",
        "empty": "",
    }


def _of_each_category() -> list[str]:
    found: dict[str, str] = {}
    for point in range(sys.maxunicode + 1):
        found.setdefault(unicodedata.category(chr(point)), chr(point))
    return [f"{category}:{character} " for category, character in sorted(found.items())]
