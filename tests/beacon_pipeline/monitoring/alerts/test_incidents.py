"""What is told, when, and how often: examples of each rule, and any history at all."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from beacon_pipeline.monitoring.alerts.grouping import (
    GATHERED_FOR,
    MORE_AFTER,
    WATCHED_FOR,
    Alert,
    Failing,
    JobHealed,
    Notice,
    NoticeKind,
    Observation,
    Passing,
    Severity,
    Snapshot,
    advance,
)

START = datetime(2026, 1, 2, tzinfo=UTC)
TICK = timedelta(seconds=30)
CHECK, DEAD = "check:inference:non_empty_output", "dead_lettered"


@dataclass
class Told:
    """Alerts over ticks, each stored and read again between two ticks as the sensor does it."""

    now: datetime = START
    alerts: list[Alert] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def tick(self, *observations: Observation, after: timedelta = TICK) -> list[Notice]:
        self.now += after
        stored = ALERTS.dump_json(self.alerts)
        self.alerts, told = advance(ALERTS.validate_json(stored), observations, self.now)
        self.notices += told
        return told

    def fail(self, *subjects: str, job: str = "j", **values: bool) -> list[Failing]:
        return [Failing(CHECK, job, s, self.now, detail=f"{s} is wrong", **values) for s in subjects]

    def heal(self, *subjects: str) -> list[Passing]:
        return [Passing(CHECK, subject, self.now) for subject in subjects]

    def level(self, *subjects: str, job: str = "j", undecided: frozenset[str] = frozenset()) -> Snapshot:
        return Snapshot(DEAD, tuple(Failing(DEAD, job, s, self.now) for s in subjects), undecided)


ALERTS = TypeAdapter(list[Alert])


def subjects(notice: Notice) -> list[str]:
    return [news.subject for news in notice.news]


def test_five_hundred_partitions_are_one_notice() -> None:
    told = Told()
    names = [f"p{n}" for n in range(500)]
    (notice,) = told.tick(*told.fail(*names))
    assert (notice.kind, subjects(notice)) == (NoticeKind.OPENED, names)
    assert told.tick(*told.fail(*names)) == [], "what is known is not told again"


def test_while_a_run_still_finds_more_it_is_gathered_but_not_for_long() -> None:
    told = Told()
    assert told.tick(*told.fail("a", more_may_come=True)) == []
    assert told.tick(*told.fail("b", more_may_come=True)) == []
    (notice,) = told.tick()
    assert subjects(notice) == ["a", "b"]

    slow = Told()
    ticks = int(GATHERED_FOR / TICK)
    early = [notice for n in range(ticks) for notice in slow.tick(*slow.fail(f"p{n}", more_may_come=True))]
    assert early == []
    (notice,) = slow.tick(*slow.fail("last", more_may_come=True))
    assert len(notice.news) == ticks + 1


def test_more_of_the_same_is_told_seldom_and_completely() -> None:
    told = Told()
    told.tick(*told.fail("a"))
    assert told.tick(*told.fail("b")) == []
    assert told.tick(*told.fail("c")) == []
    (notice,) = told.tick(after=MORE_AFTER)
    assert (notice.kind, subjects(notice), notice.still_open) == (NoticeKind.MORE, ["b", "c"], 3)


def test_it_closes_once_when_all_has_healed_whatever_job_found_it_well() -> None:
    told = Told()
    (opened,) = told.tick(*told.fail("a", "b"))
    assert told.tick(*told.heal("a")) == []
    (closed,) = told.tick(*told.heal("b", "never wrong"))
    assert (closed.kind, closed.alert, closed.healed) == (NoticeKind.CLOSED, opened.alert, 2)
    assert told.alerts == []
    (again,) = told.tick(*told.fail("a"))
    assert again.alert != opened.alert


def test_what_failed_and_healed_between_two_ticks_is_told_in_one() -> None:
    told = Told()
    (notice,) = told.tick(*told.fail("a"), *told.heal("a"))
    assert (notice.kind, subjects(notice)) == (NoticeKind.CLOSED, ["a"])


def test_found_again_in_a_later_job_it_goes_on_there() -> None:
    told = Told()
    told.tick(*told.fail("a", "b", job="nine"))
    (notice,) = told.tick(*told.fail("a", "b", job="ten"))
    assert (notice.kind, notice.job, notice.continues) == (NoticeKind.OPENED, "ten", "nine")
    (closed,) = told.tick(*told.heal("a", "b"))
    assert (closed.job, told.alerts) == ("ten", [])


def test_a_level_says_all_that_is_wrong_now_except_of_jobs_it_cannot_judge() -> None:
    told = Told()
    told.tick(told.level("a", "b"))
    assert told.tick(told.level(undecided=frozenset({"j"}))) == []
    assert told.tick(told.level("b")) == []
    assert told.tick() == [], "a source that said nothing heals nothing"
    (closed,) = told.tick(told.level())
    assert closed.healed == 2


def test_a_job_with_every_answer_closes_what_was_said_of_its_runs() -> None:
    told = Told()
    told.tick(Failing("run_failed", "j", "w1", told.now), Failing("run_failed", "k", "w2", told.now))
    (closed,) = told.tick(JobHealed("run_failed", "j"))
    assert (closed.kind, closed.job) == (NoticeKind.CLOSED, "j")
    assert [alert.job for alert in told.alerts] == ["k"]


def test_what_nobody_acts_on_is_let_go_and_that_is_said() -> None:
    told = Told()
    told.tick(told.level("a"))
    old = told.level("a")
    (closed,) = told.tick(old, after=WATCHED_FOR + TICK)
    assert (closed.kind, closed.unwatched, closed.healed) == (NoticeKind.CLOSED, 1, 0)
    assert told.tick(old) == []


def test_a_finding_is_told_once_wherever_and_however_often_it_is_seen_and_let_go_in_silence() -> None:
    told = Told()

    def seen(place: str, *, more_may_come: bool = False) -> Failing:
        return Failing(CHECK, None, "m|q", told.now, seen_in=place, more_may_come=more_may_come)

    assert told.tick(seen("us", more_may_come=True), seen("eu")) == []
    (notice,) = told.tick(seen("us"))
    assert [(news.subject, news.seen_in) for news in notice.news] == [("m|q", ("eu", "us"))]
    for _ in range(10):
        assert told.tick(seen("apac"), *told.heal("m|q in eu"), after=WATCHED_FOR / 2) == []
    assert len(told.alerts) == 1
    assert told.tick(after=WATCHED_FOR + 2 * TICK) == []
    assert told.alerts == []


moments = st.sampled_from([TICK, TICK, MORE_AFTER])
steps = st.tuples(
    st.sampled_from(["fail", "fail", "heal", "level", "job"]),
    st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    st.sampled_from(["j", "k"]),
    st.booleans(),
)


@given(st.lists(st.tuples(moments, st.lists(steps, max_size=6)), max_size=12))
def test_any_history_is_told_once_and_closed_once(history: list[tuple[timedelta, list[tuple]]]) -> None:
    """Against a model that knows only which subjects are wrong: nothing is missed or told twice."""
    told = Told()
    wrong: dict[tuple[str, str], str] = {}  # (cause, subject of a check or job and subject of a level): job
    episodes: Counter[tuple[str, str, str]] = Counter()  # cause, job, subject: how often it went wrong

    def goes_wrong(cause: str, job: str, subject: str) -> None:
        key = (cause, subject if cause == CHECK else f"{job}/{subject}")
        if wrong.get(key) != job:
            episodes[cause, job, subject] += 1
        wrong[key] = job

    for after, made in history:
        observations: list[Observation] = []
        for kind, names, job, more in made:
            if kind == "fail":
                observations += told.fail(*names, job=job, more_may_come=more)
                for name in names:
                    goes_wrong(CHECK, job, name)
            elif kind == "heal":
                observations += told.heal(*names)
                for name in names:
                    wrong.pop((CHECK, name), None)
            elif kind == "job":
                observations.append(JobHealed(CHECK, job))
                wrong = {key: j for key, j in wrong.items() if key[0] != CHECK or j != job}
            else:
                observations.append(told.level(*names, job=job))
                kept = {f"{job}/{name}" for name in names}
                wrong = {key: j for key, j in wrong.items() if key[0] != DEAD or key[1] in kept}
                for name in names:
                    goes_wrong(DEAD, job, name)
        told.tick(*observations, after=after)
        assert {(a.cause, a.job, s) for a in told.alerts for s in a.open} == {
            (cause, job, key.rpartition("/")[2]) for (cause, key), job in wrong.items()
        }
    told.tick(after=MORE_AFTER)
    told.tick(*told.heal("a", "b", "c"), told.level(), after=MORE_AFTER)

    assert told.alerts == []
    news = Counter((n.cause, n.job, s) for n in told.notices for s in subjects(n))
    # Wrong, well and wrong again before it could be told is one piece of news.
    assert set(news) == set(episodes)
    assert all(news[key] <= episodes[key] for key in news)
    by_alert: dict[str, list[Notice]] = {}
    for notice in told.notices:
        by_alert.setdefault(notice.alert, []).append(notice)
    continued = {notice.continues for notice in told.notices}
    for notices in by_alert.values():
        kinds = [notice.kind for notice in notices]
        assert [n.number for n in notices] == list(range(1, len(notices) + 1))
        assert kinds.count(NoticeKind.OPENED) <= 1
        assert NoticeKind.OPENED not in kinds[1:]
        assert NoticeKind.CLOSED not in kinds[:-1]
        assert kinds[-1] is NoticeKind.CLOSED or notices[0].job in continued


def test_what_is_stored_of_an_alert_keeps_its_words() -> None:
    assert [word.value for word in Severity] == ["warning", "error"]
    assert [word.value for word in NoticeKind] == ["opened", "more", "closed"]
    found = Failing(CHECK, None, "a", START)
    assert (found.link, found.severity, found.more_may_come) == ("/", Severity.ERROR, False)


def test_how_long_what_is_waited_for() -> None:
    told = Told()
    told.tick(*told.fail("a"))
    opened = told.now
    assert told.tick(*told.fail("b"), after=timedelta(minutes=9, seconds=59)) == []
    (more,) = told.tick(after=timedelta(seconds=1))
    assert (more.kind, told.now - opened) == (NoticeKind.MORE, timedelta(minutes=10))
    growing = Told()
    assert growing.tick(*growing.fail("a", more_may_come=True)) == []
    later = growing.fail("b", more_may_come=True)
    assert growing.tick(*later, after=timedelta(minutes=1, seconds=59)) == []
    (notice,) = growing.tick(*growing.fail("c", more_may_come=True), after=timedelta(seconds=1))
    assert subjects(notice) == ["a", "b", "c"]


def test_after_a_week_without_anyone_it_is_let_go() -> None:
    told = Told()
    found = told.fail("a")
    told.tick(*found)
    since = told.alerts[0].open["a"]
    assert told.tick(after=since + timedelta(days=7) - told.now) == []
    (closed,) = told.tick(after=timedelta(seconds=1))
    assert (closed.kind, closed.unwatched, closed.still_open) == (NoticeKind.CLOSED, 1, 0)
    assert told.tick(*found) == [], "what is as old as that opens nothing"


def test_what_a_snapshot_shows_in_another_job_has_not_moved() -> None:
    told = Told()
    told.tick(told.level("a"))
    assert told.tick(told.level("a"), told.level("a", job="k", undecided=frozenset({"j"}))) != []
    assert {(alert.job, alert.continues, alert.moved_to) for alert in told.alerts} == {
        ("j", None, None),
        ("k", None, None),
    }
    told.tick(Passing(DEAD, "a", told.now))
    assert len(told.alerts) == 2, "only the next snapshot says what healed"


def test_the_name_of_an_alert_is_of_its_cause_its_job_and_its_time() -> None:
    told = Told()
    told.tick(*told.fail("a"), *told.fail("b", job="k"))
    names = [alert.id for alert in told.alerts]
    assert len(set(names)) == 2
    assert all(len(name) == 8 for name in names)
    assert told.notices[0].id == f"{names[0]}-1"
