"""What a run says of itself: size and time before, rate and remainder while, a summary after."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

import interp
from interp.extraction.estimate import Estimate, format_duration
from interp.extraction.progress import Progress, rich_display
from interp.extraction.summary import Summary
from tests.extraction.conftest import make_model, make_texts


class Listener:
    def __init__(self):
        self.estimates, self.progress, self.messages = [], [], []

    def estimated(self, estimate):
        self.estimates.append(estimate)

    def advanced(self, progress):
        self.progress.append(progress)

    def said(self, message):
        self.messages.append(message)


def test_a_run_tells_estimate_and_every_step(tmp_path):
    listener, path = Listener(), tmp_path / "run.h5"
    texts = make_texts([900, 500])
    summary = interp.record(make_model(), texts, path, window=100, progress=listener)
    (estimate,) = listener.estimates
    assert (estimate.n_documents, estimate.n_positions, estimate.n_sites) == (2, 1400, 2)
    assert estimate.n_units == 24
    # The plan's size is that of the file, but for bookkeeping.
    assert abs(estimate.size_bytes - path.stat().st_size) < 100_000
    assert estimate.duration_s > 0
    assert [p.done for p in listener.progress] == [200, 400, 600, 800, 1000, 1100, 1200, 1300, 1400]
    assert {p.total for p in listener.progress} == {1400}
    assert listener.progress[-1].rate > 0
    assert summary.size_bytes == path.stat().st_size
    assert summary.rate > 0
    with interp.open(path) as recording:
        loss = recording.predictions.loss[:]
    assert math.isclose(summary.mean_loss, loss[~(loss != loss)].mean(), rel_tol=1e-5)


def terminal(file):
    return Console(file=file, force_terminal=True, width=120, _environ={"TERM": "xterm"})


def test_the_bar_shows_rate_and_remainder():
    file = io.StringIO()
    with rich_display(terminal(file)) as display:
        display.estimated(Estimate(1, 100, 1, 8, 1600, 61.0))
        display.advanced(Progress(25, 100, 1234.0))
        display.said("a message")
    shown = file.getvalue()
    for expected in ("1.6 kB, about 1 min 01 s", "1,234 positions/s", "25%", "a message"):
        assert expected in shown


def test_the_bar_does_without_a_total():
    file = io.StringIO()
    with rich_display(terminal(file)) as display:
        display.advanced(Progress(25, 0, 1234.0))
    assert "1,234 positions/s" in file.getvalue()


def test_no_escape_codes_reach_a_log_file():
    file = io.StringIO()
    with rich_display(Console(file=file, force_terminal=False)) as display:
        display.advanced(Progress(25, 100, 1234.0))
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than a second"), (45.4, "45 s"), (61, "1 min 01 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_summary_in_words_and_as_json():
    summary = Summary(Path("run.h5"), 2, 10, 1, 8, 160, 2.0, 5.0, 3, math.log(2))
    assert "(1.000 bits) per position" in str(summary)
    assert "3 positions were there already" in str(summary)
    assert str(summary).startswith("run.h5: 2 documents, 10 positions, 1 site with 8 units, ")
    one = str(Summary(Path("run.h5"), 1, 1, 1, 1, 160, 2.0, 5.0, 1))
    assert one.startswith("run.h5: 1 document, 1 position, 1 site with 1 unit, ")
    assert "1 position was there already" in one
    assert summary.to_dict()["path"] == "run.h5"
    silent = Summary(Path("run.h5"), 2, 10, 1, 8, 160, 2.0, 5.0)
    assert silent.to_dict()["mean_loss"] is None
    assert "loss" not in str(silent)
