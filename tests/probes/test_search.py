"""From ranges to units and from units to similar places."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import interp
import probes
from interp.cli.main import app
from interp.errors import InterpError
from tests.probes.planted import SITE, write_recording

N, STARTS = 20_000, np.arange(0, 20_001, 500)
EVENTS = np.arange(210, 19_500, 700)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    rng = np.random.default_rng(0)
    on = np.zeros(N, bool)
    for start in EVENTS:
        on[start : start + 30] = True
    values = rng.normal(size=(N, 40))
    values[:, 7] += on * 5
    values[:, 9] -= on * 4
    values[:, 11] = np.nan
    path = tmp_path_factory.mktemp("search") / "run.h5"
    write_recording(path, values.astype("float16"), STARTS)
    with interp.open(path) as found:
        yield found


RANGES = [(int(s), int(s) + 30) for s in EVENTS[:3]]


@pytest.mark.parametrize("background", [4096, None])
def test_units_that_are_on_or_off_in_the_ranges_come_first(recording, background):
    units = probes.search_units(recording, RANGES, background=background, n_best=5)
    assert [(u.unit, u.sign) for u in units[:2]] == [(f"{SITE}:7", 1), (f"{SITE}:9", -1)]
    assert units[0].score > 0.95 > 0.75 > units[2].score
    assert units[0].worst <= units[0].score and units[0].inside > 3 > units[0].outside
    assert all(u.unit_index != 11 for u in units)


def test_similar_places_are_the_other_events(recording):
    units = probes.search_units(recording, RANGES, n_best=2)
    places = probes.similar_places(recording, RANGES, units, n_best=len(EVENTS) - 3)
    starts = sorted(place.start for place in places)
    assert np.abs(np.array(starts) - EVENTS[3:]).max() <= 2
    assert all(place.document == place.start // 500 for place in places)
    assert all(place.score > 0.5 for place in places)


def test_places_do_not_depend_on_the_storage_type_where_values_are_tied(tmp_path):
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=(4000, 3)), 0).astype("float16")  # half of them are 0
    values[1000:1030], values[3000:3030] = 2, 2
    values[:, 2] = 0
    found = []
    for dtype in ("float16", "float32"):
        write_recording(tmp_path / f"{dtype}.h5", values.astype(dtype), np.array([0, 2000, 4000]))
        with interp.open(tmp_path / f"{dtype}.h5") as recording:
            unit = probes.search_units(recording, [(1000, 1030)], n_best=3)
            found.append(probes.similar_places(recording, [(1000, 1030)], unit, n_best=1)[0])
    assert (found[0].start, found[0].stop) == (found[1].start, found[1].stop) == (3000, 3030)
    assert abs(found[0].score - found[1].score) < 1e-5


@pytest.mark.parametrize(
    ("ranges", "message"),
    [([], "Nothing is selected"), ([(5, 5)], "empty or outside"), ([(0, N + 1)], "outside"),
     ([(0, N)], "Everything is selected")],
)  # fmt: skip
def test_ranges_that_cannot_be_searched(recording, ranges, message):
    with pytest.raises(InterpError, match=message):
        probes.search_units(recording, ranges)


def test_the_command_searches_by_positions(recording):
    command = ["rank", str(recording.path), "--positions", "doc0:210-239,doc1:410-439"]
    found = json.loads(CliRunner().invoke(app, [*command, "--json", "--best", "4"]).stdout)
    assert [unit["unit"] for unit in found["units"][:2]] == [f"{SITE}:7", f"{SITE}:9"]
    assert found["places"][0]["where"].startswith("doc")
    shown = CliRunner().invoke(app, command).stdout
    assert f"{SITE}:9  off" in shown and "behave the same way" in shown
    for wrong in (["rank", str(recording.path)], [*command, "--concept", "string"]):
        assert isinstance(CliRunner().invoke(app, wrong).exception, InterpError)


def test_a_unit_with_nan_right_beside_a_range_has_no_place_there(tmp_path):
    values = np.random.default_rng(0).normal(size=(5_000, 3)).astype(np.float32)
    values[2_100:2_120, 1] += 9
    values[2_098, 1] = np.nan
    path = write_recording(tmp_path / "run.h5", values, np.arange(0, 5_001, 500))
    with interp.open(path) as recording:
        found = probes.search_units(recording, [(2_100, 2_120)], background=1_024)
    assert {unit.unit_index for unit in found} == {0, 2}
    quiet = values[:, 0]
    with interp.open(path) as recording:
        unit = next(u for u in probes.search_units(recording, [(0, 2)], background=None)
                    if u.unit_index == 0)  # fmt: skip
    assert unit.outside == pytest.approx(np.median(quiet[2:]))
