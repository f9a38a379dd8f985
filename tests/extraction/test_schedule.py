"""The schedule covers every position once, in bounded groups, whatever the lengths."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.extraction.schedule import Schedule, plan_schedule

lengths_of = st.lists(st.integers(0, 60), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(lengths_of, st.integers(1, 7), st.integers(1, 25), st.booleans())
def test_every_position_is_computed_once(lengths, batch_size, window, whole):
    schedule = plan_schedule(np.array(lengths), batch_size, window, whole=whole)
    seen = np.zeros(sum(lengths), int)
    for begin, stop in schedule.segments():
        assert begin < stop
        seen[begin:stop] += 1
    assert (seen == 1).all()


@settings(max_examples=100, deadline=None)
@given(lengths_of, st.integers(1, 7), st.integers(1, 25))
def test_steps_of_a_batch_are_consecutive_windows_of_its_first_rows(lengths, batch_size, window):
    schedule = plan_schedule(np.array(lengths), batch_size, window)
    previous = None
    n_segments = 0
    for step in schedule.steps():
        assert step.segment == n_segments
        n_segments += len(step.documents)
        assert len(step.documents) <= batch_size
        assert (np.diff(step.lengths) <= 0).all()
        assert step.n_steps <= window
        if step.start == 0:
            assert previous is None or step.batch == previous.batch + 1
        else:
            assert step.batch == previous.batch
            assert step.start == previous.start + previous.n_steps
            kept = previous.documents[: len(step.documents)]
            assert (step.documents == kept).all()
        previous = step
    assert n_segments == len(schedule.segments())


@given(lengths_of, st.integers(1, 4))
def test_documents_stay_in_their_group(lengths, batch_size):
    schedule = Schedule(np.array(lengths), batch_size, 10, group_size=5)
    for documents in schedule.batches():
        assert len(set(documents // 5)) == 1


def test_whole_documents_share_a_forward_only_within_the_budget():
    schedule = plan_schedule(np.array([100, 10, 10, 10, 10]), 4, 10, whole=True)
    assert [step.documents.tolist() for step in schedule.steps()] == [[0], [1, 2, 3, 4]]
    assert [step.n_steps for step in schedule.steps()] == [100, 10]


def test_equal_lengths_keep_the_order_of_the_corpus():
    schedule = plan_schedule(np.array([5, 7, 5, 7]), 2, 100)
    assert [step.documents.tolist() for step in schedule.steps()] == [[1, 3], [0, 2]]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.integers(1, 9), st.integers(0, 12)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 6),
)
def test_steps_of_generation_cover_source_and_target_once(documents, batch_size):
    """Documents are (source, prompt, written): the source with the prompt, then one by one."""
    source, prompts, written = np.array(documents).T
    schedule = Schedule(
        prompts + written,
        batch_size,
        None,
        batch_size * 2,
        stream="target",
        beside={"source": source},
        prompts=prompts,
    )
    for name, total in (("source", source.sum()), ("target", (prompts + written).sum())):
        seen = np.zeros(total, int)
        for begin, stop in schedule.segments(name):
            seen[begin:stop] += 1
        assert (seen == 1).all()
    for step in schedule.steps():
        fed = step.parts["source"].lengths
        assert (fed == (source[step.documents] if step.start == 0 else 0)).all()
        assert (step.parts["source"].key_stops == source[step.documents]).all()
        assert (step.lengths == (prompts[step.documents] if step.start == 0 else 1)).all()
        assert step.lead.first_key == 0
