"""Messages on their way: to a real webhook and a real mail server, past targets that do not answer."""

import io
import logging
import logging.config
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta

import pytest

from beacon_pipeline.monitoring.alerts import delivery
from beacon_pipeline.monitoring.alerts.messages import Message
from beacon_pipeline.monitoring.alerts.state import TargetState
from beacon_pipeline.monitoring.alerts.targets import read_targets, send_all
from tests.beacon_pipeline.monitoring.alerts.receivers import mail_server, silent_server, webhook
from tests.ports import free_port

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_message(number: int, *waiting: str, at: datetime = NOW) -> Message:
    return Message(f"m-{number}", "warning", f"title {number}", "<b>& body</b>\n- second line", at, waiting)


def test_urls_are_separated_where_another_one_begins() -> None:
    text = " json://h/a , slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#a,#b\njson://h/c json://h/a"
    targets = read_targets(text)
    assert [target.url for target in targets.usable] == [
        "json://h/a",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#a,#b",
        "json://h/c",
    ]
    assert targets.problems == ()
    assert read_targets("") == read_targets(" ,\n")


@pytest.mark.parametrize("url", ["hunter2", "hunter2://hunter2:hunter2@x/", "slack://hunter2", "json://"])
def test_a_faulty_url_is_a_line_without_its_secret(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as Dagster does it
    caplog.set_level(logging.DEBUG)
    targets = read_targets(f"json://h/hunter2 {url}" if "://" in url else url)
    (problem,) = targets.problems
    assert "BEACON_ALERT_URLS: entry" in problem
    captured = capfd.readouterr()
    shown = f"{problem}{targets}{caplog.text}{captured.out}{captured.err}"
    assert "hunter2" not in shown


def test_no_secret_of_the_environment_leaves_in_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEACON_DATABASE_URL", "postgresql://h/d?password=hunter2&sslpassword=se%20sam")
    body = "invalid value 'hunter2'; se sam; postgresql://u:other@h/d"
    message = Message("m", "warning", "title with hunter2", body, NOW)
    with webhook() as hook:
        targets = read_targets(hook.url).usable
        assert [fate.taken for fate in send_all(targets, {targets[0].name: [message]})] == [True]
    assert hook.titles == ["title with ***"]
    assert hook.received[0]["message"] == "invalid value '***'; ***; postgresql://u:***@h/d"


def test_a_webhook_and_a_mailbox_get_every_message_in_order() -> None:
    messages = [a_message(1), a_message(2)]
    with webhook() as hook, mail_server() as (mailbox, mail_url):
        targets = read_targets(f"{hook.url} {mail_url}").usable
        fates = list(send_all(targets, {target.name: messages for target in targets}))
    assert all(fate.taken for fate in fates)
    assert hook.titles == mailbox.titles == ["title 1", "title 2"]
    assert hook.received[0]["message"] == "<b>& body</b>\n- second line"
    assert hook.received[0]["type"] == "warning"
    assert "second line" in mailbox.received[0][1]


def test_a_dead_and_a_silent_target_fail_alone_and_nothing_shows_their_urls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as Dagster does it
    caplog.set_level(logging.DEBUG)
    shown = io.StringIO()
    with webhook() as hook, silent_server() as silent, redirect_stderr(shown), redirect_stdout(shown):
        dead = f"json://user:SECRETTOKEN@127.0.0.1:{free_port()}/"
        targets = read_targets(f"{silent} {dead} {hook.url}").usable
        fates = list(send_all(targets, {target.name: [a_message(1), a_message(2)] for target in targets}))
    assert hook.titles == ["title 1", "title 2"]
    taken = [(fate.target, fate.message.id, fate.taken) for fate in fates]
    assert sorted(taken, key=str) == sorted(
        [
            (targets[0].name, "m-1", False),
            (targets[1].name, "m-1", False),
            (targets[2].name, "m-1", True),
            (targets[2].name, "m-2", True),
        ],
        key=str,
    )
    assert "SECRETTOKEN" not in f"{shown.getvalue()}{caplog.text}{fates}{targets}"


def test_every_target_is_for_itself_and_tried_again_later_and_later() -> None:
    box = [a_message(1, "a", "b"), a_message(2, "a")]
    assert delivery.due(box, {}, ["a", "b", "new"], NOW) == {"a": box, "b": box[:1]}
    down = delivery.failed(None, NOW)
    assert delivery.due(box, {"a": down}, ["a", "b"], NOW) == {"b": box[:1]}
    assert delivery.due(box, {"a": down}, ["a"], down.not_before) == {"a": box}

    delays = []
    state: TargetState | None = None
    for _ in range(12):
        state = delivery.failed(state, NOW)
        delays.append(state.not_before - NOW)
    assert delays[:3] == [timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120)]
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(minutes=15)


def test_a_message_leaves_the_outbox_when_all_have_it() -> None:
    box = [a_message(1, "a", "b"), a_message(2, "a")]
    box = delivery.delivered(box, "m-1", "a")
    assert [message.waiting for message in box] == [("b",), ("a",)]
    assert [message.id for message in delivery.delivered(box, "m-1", "b")] == ["m-2"]


def test_what_cannot_be_delivered_any_more_is_given_up_and_counted() -> None:
    old = a_message(1, "a", at=NOW - timedelta(days=3, seconds=1))
    gone, fresh = a_message(2, "removed"), a_message(3, "a", "removed", at=NOW - timedelta(days=3))
    kept, given_up = delivery.pruned([old, gone, fresh], ["a"], NOW)
    assert [(message.id, message.waiting) for message in kept] == [("m-3", ("a",))]
    assert given_up == [old]
    many = [a_message(number, "a") for number in range(502)]
    kept, given_up = delivery.pruned(many, ["a"], NOW)
    assert (kept, given_up) == (many[2:], many[:2])
