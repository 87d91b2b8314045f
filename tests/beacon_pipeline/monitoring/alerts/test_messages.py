"""How a notice reads, and what `beacon alerts` shows."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console

from beacon_pipeline.cli.matrix import alerts_view
from beacon_pipeline.monitoring.alerts.causes import EMPTY_ANSWER, WORDINGS, check_cause, wording_of
from beacon_pipeline.monitoring.alerts.grouping import Alert, NewSubject, Notice, NoticeKind, Severity
from beacon_pipeline.monitoring.alerts.messages import Message, message_of
from beacon_pipeline.monitoring.alerts.state import AlertState
from tests.beacon_pipeline.instances import beacon_here, environment
from tests.beacon_pipeline.monitoring.alerts.receivers import webhook
from tests.ports import free_port

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
CHECK = check_cause("inference", "executed_region", of_partition=True)


def notice(kind: NoticeKind, cause: str = CHECK, told: int = 0, **values: object) -> Notice:
    news = tuple(NewSubject(f"eu:m|q{n}", f"detail {n}", f"/link/{n}") for n in range(told))
    usual: dict[str, object] = {"severity": Severity.WARNING, "still_open": told, "continues": None}
    usual |= {"healed": 0, "unwatched": 0, "moved_to": None, "remedy": "", "job": "j"}
    return Notice(
        alert="1a2b3c4d",
        number=2,
        kind=kind,
        cause=cause,
        link="/alert",
        opened_at=AT,
        at=AT,
        **({"news": news} | usual | values),  # type: ignore[arg-type]
    )


def test_five_hundred_partitions_in_one_message() -> None:
    message = message_of(notice(NoticeKind.OPENED, told=500, remedy="look twice"), "http://ui:1/")
    assert message == Message(
        id="1a2b3c4d-2",
        level="warning",
        title="[Beacon] 500 partitions failing the check executed_region of inference (job j)",
        body="\n".join(
            [
                *(f"- eu:m|q{n}: detail {n}" for n in range(5)),
                "- and 495 more",
                "What to do: look twice",
                "See: http://ui:1/link/0",
                "Alert 1a2b3c4d-2, open since 2026-01-02 03:04 UTC",
            ]
        ),
        at=AT,
    )


LOOK = "What to do: look twice"


@pytest.mark.parametrize(
    ("given", "title", "level", "lines"),
    [
        (
            notice(
                NoticeKind.MORE,
                told=2,
                still_open=7,
                healed=1,
                unwatched=1,
                moved_to="k",
                remedy="look twice",
            ),
            "[Beacon] 2 more partitions failing the check executed_region of inference (job j)",
            "warning",
            [
                "- eu:m|q0: detail 0",
                "- eu:m|q1: detail 1",
                "7 are wrong in all.",
                LOOK,
                "See: http://ui/link/0",
            ],
        ),
        (
            notice(NoticeKind.OPENED, told=1, continues="i", severity=Severity.ERROR, remedy="look twice"),
            "[Beacon] 1 partition failing the check executed_region of inference (job j)",
            "failure",
            ["- eu:m|q0: detail 0", "Some were wrong in job i already.", LOOK, "See: http://ui/link/0"],
        ),
        (
            notice(NoticeKind.CLOSED, healed=3, moved_to="k", continues="i"),
            "[Beacon] resolved: partitions failing the check executed_region of inference (job j)",
            "success",
            ["3 healed.", "Others were found wrong again in job k.", "See: http://ui/alert"],
        ),
        (
            notice(NoticeKind.CLOSED, unwatched=2, job=None),
            "[Beacon] no longer watched: partitions failing the check executed_region of inference",
            "warning",
            ["2 did not heal in seven days and are watched no longer.", "See: http://ui/alert"],
        ),
        (
            notice(NoticeKind.OPENED, cause="ledger_unavailable", told=1, job=None, remedy="look twice"),
            "[Beacon] ledger cannot be used",
            "warning",
            ["- eu:m|q0: detail 0", LOOK, "See: http://ui/link/0"],
        ),
        (
            notice(NoticeKind.OPENED, cause=check_cause("a/b", "fresh", of_partition=False), told=1),
            "[Beacon] asset a/b failing the check fresh (job j)",
            "warning",
            [
                "- eu:m|q0: detail 0",
                "What to do: read what the check says in the UI",
                "See: http://ui/link/0",
            ],
        ),
    ],
)
def test_every_kind_of_notice(given: Notice, title: str, level: str, lines: list[str]) -> None:
    message = message_of(given, "http://ui")
    assert (message.title, message.level) == (title, level)
    assert message.body.splitlines() == [*lines, "Alert 1a2b3c4d-2, open since 2026-01-02 03:04 UTC"]


def test_a_finding_names_model_question_and_where_it_was_seen() -> None:
    news = (NewSubject("m|q", "no visible text", "/link", ("apac", "eu")),)
    message = message_of(notice(NoticeKind.OPENED, EMPTY_ANSWER, job=None, news=news), "http://ui")
    assert message.title == "[Beacon] 1 question that a model answered without any text"
    assert message.body.splitlines()[0] == "- m|q in apac, eu: no visible text"


def test_every_cause_has_words_and_an_unknown_one_is_an_error() -> None:
    for cause in WORDINGS:
        assert wording_of(cause).remedy
    with pytest.raises(KeyError):
        wording_of("weather:bad")


def test_the_view_names_what_is_wrong_and_who_waits() -> None:
    wrong = {f"eu:m|q{n}": AT for n in range(5)}
    alert = Alert(CHECK, "j", AT, Severity.WARNING, "look at it", "/", open=wrong)
    memory = AlertState(alerts=[alert], outbox=[Message("m", "warning", "t", "b", AT, ("json:12345678",))])
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(alerts_view(memory, ["json:12345678"], ["entry 2 is no URL"]))
    shown = console.export_text()
    for word in (
        "2026-01-02 03:04",
        "failing the check executed_region",
        "eu:m|q0, eu:m|q1, eu:m|q2 and 2 more",
        "look at it",
        "1 messages wait for",
        "entry 2",
    ):
        assert word in shown


def test_the_command_shows_and_tries(tmp_path: Path) -> None:
    env = environment(tmp_path)

    def alerts(urls: str, *options: str) -> Result:
        return beacon_here(env | {"BEACON_ALERT_URLS": urls}, "alerts", *options)

    shown = alerts("")
    assert (shown.exit_code, "nothing is wrong" in shown.stdout) == (0, True)
    none = alerts("", "--test")
    assert (none.exit_code, "set BEACON_ALERT_URLS" in none.stderr) == (2, True)
    with webhook() as hook:
        arrived = alerts(hook.url, "--test")
        assert (arrived.exit_code, hook.titles) == (0, ["[Beacon] a test"])
    dead = alerts(f"json://user:SECRETTOKEN@127.0.0.1:{free_port()}", "--test")
    assert (dead.exit_code, "not taken" in dead.stdout) == (1, True)
    assert "SECRETTOKEN" not in dead.stdout + dead.stderr


STORED_CAUSES = """
run_failed tick_failed missing timed_out dead_lettered check:inference:non_empty_output region_imbalance
provider_unreachable
healing_gave_up
ledger_unavailable source_unreadable
"""


def test_a_cause_is_stored_by_its_name_and_said_in_full() -> None:
    assert list(WORDINGS) == STORED_CAUSES.split()
    for wording in WORDINGS.values():
        assert wording.subject.islower()
        assert wording.says.islower()
        assert len(wording.remedy.split()) > 8
    only_one = {cause for cause, wording in WORDINGS.items() if not wording.counted}
    assert only_one == {"ledger_unavailable", "source_unreadable"}


def test_the_cause_of_a_check_names_it_and_what_it_is_of() -> None:
    assert (CHECK, check_cause("a", "b", of_partition=False)) == (
        "check:inference:executed_region",
        "asset_check:a:b",
    )
    of_partition, of_asset = wording_of("check:a/b:c"), wording_of("asset_check:a/b:c")
    assert (of_partition.subject, of_partition.counted) == ("partition", True)
    assert "c of a/b" in of_partition.says
    assert (of_asset.subject, of_asset.counted) == ("asset a/b", False)
    assert of_asset.says.endswith("c")
    assert len(of_asset.remedy.split()) > 4
    for unknown in ("surprise", "surprise:a:b", "checks:a:b"):
        with pytest.raises(KeyError):
            wording_of(unknown)
