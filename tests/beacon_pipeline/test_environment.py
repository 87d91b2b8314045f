"""What the environment holds of secrets, and that no text shows it."""

import pytest

from beacon_pipeline.environment import database_url, masked
from dbt_like_checks.database.secrets import MASK


@pytest.mark.parametrize(
    ("variable", "value", "secret"),
    [
        ("BEACON_DATABASE_URL", "postgresql://u:wort-1@h/d", "wort-1"),
        ("DAGSTER_POSTGRES_URL", "postgresql://h/d?sslpassword=wort%201", "wort 1"),
        ("PGPASSWORD", "kurz", "kurz"),
        ("MODAL_TOKEN_SECRET", "as-Zq81LxPw", "as-Zq81LxPw"),
        ("SOME_API_KEY", "sk-12345678", "sk-12345678"),
        ("BEACON_ALERT_URLS", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXr1/", "TIiajkdnlazkcOXr1"),
        ("BEACON_ALERT_URLS", "https://hooks.slack.com/services/T000/B00/XXX0XXXX", "XXX0XXXX"),
        ("BEACON_ALERT_URLS", "json://h/x, mailto://ada:geheim@example.com?to=x@y.z", "geheim"),
        ("BEACON_ALERT_URLS", "json://tok3nwort@example.com/hook", "tok3nwort"),
    ],
)
def test_a_secret_of_the_environment_is_in_no_text(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, secret: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert masked(f"refused: '{secret}' of {value}").count(secret) == 0
    assert masked(f"refused: '{secret}'") == f"refused: '{MASK}'"


def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "BEACON_ALERT_URLS", "json://127.0.0.1:8080/hook https://hooks.slack.com/services/a/b/c"
    )
    monkeypatch.setenv("USE_TOKEN", "true")
    text = "see http://127.0.0.1:3000/assets: true of hooks.slack.com/services"
    assert masked(text) == text


def test_any_name_of_the_instance_folder_is_a_part_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    monkeypatch.delenv("BEACON_DATABASE_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "/srv/a?b=1#c%41 d")
    assert sa.make_url(database_url()).database == "/srv/a?b=1#c%41 d/ledger.db"
