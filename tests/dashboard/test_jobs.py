"""Jobs: asked twice they run once, they tell their progress, and they can be cancelled."""

from __future__ import annotations

import threading

import pytest

from dashboard.jobs import Cancelled, Jobs
from interp.errors import InterpError


@pytest.fixture
def jobs():
    made = Jobs(n_at_once=1)
    yield made
    made.close()


def wait(job):
    for _ in range(2_000):
        if job.is_over:
            return job
        threading.Event().wait(0.005)
    raise AssertionError(f"the job is still {job.state}")


def test_a_question_asked_twice_is_worked_on_once(jobs):
    runs = []
    first = jobs.ask("a", "title", lambda job: runs.append(1) or 7)
    assert jobs.ask("a", "title", lambda job: runs.append(2)) is first
    assert wait(first).to_dict()["result"] == 7
    assert runs == [1]


def test_progress_and_an_early_answer(jobs):
    seen, go = threading.Event(), threading.Event()

    def work(job):
        job.show({"draft": True})
        job.tell(3, 10)
        seen.set()
        go.wait(5)
        return {"draft": False}

    job = jobs.ask("a", "title", work)
    assert seen.wait(5)
    told = job.to_dict()
    assert (told["state"], told["done"], told["total"]) == ("running", 3, 10)
    assert told["isEarly"] and told["result"] == {"draft": True}
    go.set()
    assert wait(job).to_dict()["result"] == {"draft": False}
    assert not job.to_dict()["isEarly"]


def test_cancelling_ends_the_work_at_its_next_step_and_it_can_begin_anew(jobs):
    started = threading.Event()
    reached = []

    def work(job):
        started.set()
        for step in range(10_000):
            job.tell(step, 10_000)
            threading.Event().wait(0.002)
        reached.append(True)

    job = jobs.ask("a", "title", work)
    assert started.wait(5)
    jobs.cancel("a")
    assert wait(job).state == "cancelled" and not reached
    again = jobs.ask("a", "title", lambda job: "done")
    assert again is not job and wait(again).result == "done"


def test_a_job_that_waits_is_cancelled_without_starting(jobs):
    go = threading.Event()
    jobs.ask("busy", "title", lambda job: go.wait(5))
    waiting = jobs.ask("late", "title", lambda job: pytest.fail("started"))
    jobs.cancel("late")
    go.set()
    assert wait(waiting).state == "cancelled"


def test_a_mistake_is_one_sentence_and_a_fault_is_named(jobs):
    def mistake(job):
        raise InterpError("There is no such thing.")

    assert wait(jobs.ask("a", "t", mistake)).to_dict()["error"] == "There is no such thing."
    fault = wait(jobs.ask("b", "t", lambda job: 1 / 0))
    assert fault.state == "failed" and "ZeroDivisionError" in fault.error


def test_cancelled_is_not_caught_by_those_who_catch_interp_errors():
    assert not issubclass(Cancelled, InterpError)
