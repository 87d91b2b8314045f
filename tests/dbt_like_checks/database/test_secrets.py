"""A password never shows, in whatever spelling libpq takes it and whatever text repeats it."""

from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from dbt_like_checks.database.secrets import MASK, masked, secrets_of, shown_address

SECRET = "gé he'im\\@/?#&%"
ENCODED = quote(SECRET, safe="")
QUOTED = SECRET.replace("\\", r"\\").replace("'", r"\'")


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ada:{ENCODED}@host/db",
        f"postgresql://:{ENCODED}@host/db",
        f"postgresql://ada:{ENCODED.lower()}@h1:1,h2:2/db",
        f"postgresql://host/db?password={ENCODED}",
        f"postgresql://host/db?user=ada&password={quote_plus(SECRET)}&sslmode=require",
        f"postgresql://host/db?sslpassword={ENCODED}",
        f"postgresql://host/db?passfile={ENCODED}",
        f"postgresql://host/db?oauth_client_secret={ENCODED}",
        f"postgresql://host:port/db?password={ENCODED}",
        f"postgresql://ada:{ENCODED}@host:port/db",
        f"host=localhost user=ada password='{QUOTED}' dbname=db",
        f"host=localhost password = '{QUOTED}'",
        f"sslpassword='{QUOTED}' host=localhost",
    ],
)
@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        QUOTED,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
    ],
)
def test_every_spelling_of_an_address_is_read_and_every_spelling_in_a_text_masked(
    address: str, spelled: str
) -> None:
    text = masked(f'invalid value "{spelled}" for host', secrets_of(address))
    assert text == f'invalid value "{MASK}" for host'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach postgresql://ada:geheim@host/db now", "cannot reach postgresql://ada:***@host/db now"),
        ("postgresql://ada:ge@heim:x@host/db", "postgresql://ada:***@host/db"),
        ("no folder postgresql:/ada:geheim@host/db", "no folder postgresql:/ada:***@host/db"),
        ("at host/db?password=geheim&sslmode=require", "at host/db?password=***&sslmode=require"),
        ("dsn: host=h password='ge \\' heim' user=ada", "dsn: host=h password=*** user=ada"),
        ("PGPASSWORD=geheim psql", "PGPASSWORD=*** psql"),
        ('{"password": "geheim", "user": "ada"}', '{"password": ***, "user": "ada"}'),
        ("    password: geheim\n    hostname: h", "    password: ***\n    hostname: h"),
        ("client_secret=geheim", "client_secret=***"),
        ("password authentication failed for user ada", "password authentication failed for user ada"),
        ("max_new_tokens=512", "max_new_tokens=512"),
        ("see https://example.com/a?b=c", "see https://example.com/a?b=c"),
    ],
)
def test_what_is_written_as_a_password_is_masked_without_being_known(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://ada:geheim@host:5/db?sslmode=require",
            "postgresql://ada:***@host:5/db?sslmode=require",
        ),
        ("postgresql://host/db?password=geheim&user=ada", "postgresql://host/db?user=ada"),
        ("postgresql://host/db?nonsense=geheim", "postgresql://host/db"),
        ("postgresql://ada:p@geheim@host/db", "postgresql://ada:***@***@host/db"),
        ("sqlite:////srv/beacon/ledger.db", "sqlite:////srv/beacon/ledger.db"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert shown_address(sa.make_url(url)) == shown


@given(st.text(min_size=4), st.text(), st.text())
@example("a b+c%", "", "")
def test_a_known_secret_is_in_no_text(secret: str, before: str, after: str) -> None:
    text = masked(f"{before}{secret}{after}", [secret])
    assert secret not in text.replace(MASK, "") or set(secret) <= set(MASK)


def test_a_short_secret_is_masked_where_it_stands_alone() -> None:
    assert masked('a value "a" at a place', ["a"]) == '*** value "***" at *** place'
    assert masked("cannot be used", ["a"]) == "cannot be used"


def test_where_a_secret_goes_may_be_shown() -> None:
    way_out = "`modal secret create huggingface HF_TOKEN=hf_...`"
    assert masked(way_out) == way_out
    assert masked("HF_TOKEN=hf_abc...def") == "HF_TOKEN=***"
