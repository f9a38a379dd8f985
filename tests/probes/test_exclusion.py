"""Positions where another concept holds are not scored, wherever scores come from."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import interp
import probes
from interp.annotations.python_source import annotate_python
from interp.annotations.recordings import annotate_recording
from interp.cli.main import app
from interp.errors import InterpError
from probes.cause.ablation import yes_or_no
from probes.cause.places import places_of
from probes.documents import split_documents
from probes.results import read_results
from tests.probes.planted import planted_values, slow_labels, write_recording

N, STARTS = 4_000, np.arange(0, 4_001, 100)
LABELS, OTHER = slow_labels(N), slow_labels(N, 0.02, seed=5)

#: What the columns of the recording of source code are.
INSIDE_BOTH, AT_MARKS, CONTENT = 0, 1, 2


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Files with strings and docstrings, and units that a position's kind decides."""
    texts = [
        f'"""About {"x" * (i % 7)}."""\nif name{i} == "{"y" * (3 + i % 4)}":\n'
        f"    f('b', r\"c{i}\")\n"
        for i in range(20)
    ]
    tracks = [annotate_python(text) for text in texts]
    apart = [annotate_python(text, delimiters="apart")["quoted_string"] for text in texts]
    quoted = np.concatenate([track["quoted_string"] for track in tracks])
    triple = np.concatenate([track["triple_quoted_string"] for track in tracks])
    content = np.concatenate(apart)
    values = np.random.default_rng(0).normal(size=(len(quoted), 4)) * 0.01
    values[:, INSIDE_BOTH] += quoted | triple
    values[:, AT_MARKS] += np.isnan(content)
    values[:, CONTENT] += content == 1
    starts = np.cumsum([0, *map(len, texts)])
    path = tmp_path_factory.mktemp("source") / "run.h5"
    write_recording(path, values.astype(np.float32), starts, texts)
    return path, values, starts, quoted, np.isnan(content)


def area_of(recording, unit, concept, **options):
    ranking = probes.rank(recording, concept, n_best=4, n_swaps=20, **options)[0]
    (score,) = [s for s in ranking.scores if s.unit.endswith(f":{unit}")]
    return score, ranking


def test_units_are_scored_with_marks_and_docstrings_and_without(source):
    path, values, starts, quoted, is_mark = source
    annotate_recording(path, ["quoted_string"], delimiters="apart", name="content")
    annotate_recording(path, ["triple_quoted_string"])  # as it is read: its marks are outside
    docstring = np.zeros(len(quoted), bool)
    with interp.open(path) as recording:
        for i, document in enumerate(recording.streams["text"].documents):
            end = document.text.index('"""', 3) + 3
            docstring[starts[i] : starts[i] + end] = True
        test = np.isin(
            np.searchsorted(starts, np.arange(len(quoted)), side="right") - 1,
            split_documents(20)[1],
        )
        for concept, without, kept in (
            ("quoted_string", [], test),
            ("quoted_string", ["triple_quoted_string"], test & ~docstring),
            ("content", [], test & ~is_mark),
            ("content", ["triple_quoted_string"], test & ~is_mark & ~docstring),
        ):
            for unit in (INSIDE_BOTH, AT_MARKS, CONTENT):
                score, ranking = area_of(recording, unit, concept, without=without)
                expected = roc_auc_score(quoted[kept], values[kept, unit].astype(np.float32))
                assert score.auroc == pytest.approx(
                    expected if score.sign > 0 else 1 - expected, abs=1e-9
                )
                assert score.n_positions == kept.sum()
            left = {"no label": int(is_mark.sum())} if concept == "content" else {}
            if without:
                taken = docstring & ~is_mark if concept == "content" else docstring
                left["triple_quoted_string"] = int(taken.sum())
            assert ranking.left_out == left and ranking.parameters["without"] == without
        # The unit that is on in docstrings too is perfect without them, the one at marks nothing.
        assert area_of(recording, INSIDE_BOTH, "quoted_string")[0].auroc < 0.9
        without = {"without": "triple_quoted_string"}
        assert area_of(recording, INSIDE_BOTH, "quoted_string", **without)[0].auroc == 1
        assert area_of(recording, CONTENT, "quoted_string", **without)[0].auroc < 0.95
        assert area_of(recording, CONTENT, "content", **without)[0].auroc == 1
        assert abs(area_of(recording, AT_MARKS, "content", **without)[0].auroc - 0.5) < 0.1


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The same values with all positions, and with the others removed for good."""
    folder = tmp_path_factory.mktemp("halves")
    values, kept = np.nan_to_num(planted_values(LABELS)), ~OTHER
    starts = np.concatenate([[0], np.cumsum([kept[a : a + 100].sum() for a in STARTS[:-1]])])
    full = write_recording(folder / "full.h5", values, STARTS)
    cut = write_recording(folder / "cut.h5", values[kept], starts)
    return full, cut, kept


@pytest.mark.parametrize("by", [None, "mutual_information"])
@pytest.mark.parametrize("labels", [LABELS, LABELS * 3.0 + np.arange(N) % 5])
def test_leaving_out_equals_a_recording_without_these_positions(halves, labels, by):
    """Selection, test, null, resamples and curve: every figure is the same."""
    full, cut, kept = halves
    options = {"by": by, "n_best": 6, "curve": (1, 2, 4), "n_resamples": 60, "n_swaps": 40}
    with interp.open(full) as all_of_it, interp.open(cut) as part:
        found = probes.rank(all_of_it, {"x": labels}, without={"other": OTHER}, **options)[0]
        expected = probes.rank(part, {"x": labels[kept]}, **options)[0]
    assert found.left_out == {"other": int(OTHER.sum())} and not expected.left_out
    a, b = found.to_dict(), expected.to_dict()
    for key in ("scores", "curve", "null_95", "p_value", "n_documents", "n_selection_documents"):
        assert a[key] == b[key], key


def test_a_probe_is_neither_fitted_nor_scored_there(halves):
    full, cut, kept = halves
    options = {"n_resamples": 60, "control": False}
    with interp.open(full) as all_of_it, interp.open(cut) as part:
        found = probes.evaluate(
            all_of_it, "x", "lstm/*", values=LABELS, without={"other": OTHER},
            probe="k_sparse", k=2, **options,
        )  # fmt: skip
        expected = probes.evaluate(
            part, "x", "lstm/*", values=LABELS[kept], probe="k_sparse", k=2, **options
        )
    assert found.left_out == {"other": int(OTHER.sum())}
    for key in ("scores", "interval", "description", "top_units", "n_fit", "n_test", "base_rate"):
        assert getattr(found, key) == getattr(expected, key), key


def test_positions_of_which_the_other_concept_is_not_known_are_left_out(halves):
    full, _, _ = halves
    other = OTHER.astype(float)
    other[:200] = np.nan
    with interp.open(full) as recording:
        found = probes.rank(recording, {"x": LABELS}, without={"other": other}, n_swaps=0)[0]
    assert found.left_out == {"other": int((OTHER | (np.arange(N) < 200)).sum())}


def test_losses_are_not_looked_at_there(source):
    path = source[0]
    with interp.open(path) as recording:
        text = "".join(d.text for d in recording.streams["text"].documents)
        starts = recording.streams["text"].document_start
        for without, n, before in (((), 60, "by0123456789"), ("if_condition", 40, "b0123456789")):
            track = yes_or_no(recording, "quoted_string", False, without)
            places = places_of(track.values, track.valid, starts, "next")
            ends = np.flatnonzero(places["end"])  # each predicts the mark that follows it
            assert len(ends) == n and {text[at] for at in ends} == set(before)
        annotate_recording(path, ["quoted_string"], delimiters="apart", name="content")
    with interp.open(path) as recording, pytest.raises(InterpError, match="where it ends"):
        yes_or_no(recording, "content", False, [])


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (["strnig"], "No concept named 'strnig'; nearest: string"),
        (["indentation"], "indentation is a number: only where a yes-or-no concept holds"),
        ({"all": np.ones(1127, bool)}, "Without all no position is left to score quoted_string"),
        ({"kind": np.full(1127, "a")}, "kind has several categories; name one, such as kind=a"),
        (["string"], "quoted_string is the same .outside. at all .* positions that are scored"),
    ],
)
def test_what_cannot_be_left_out_is_said_once(source, without, message):
    with interp.open(source[0]) as recording, pytest.raises(InterpError, match=message):
        probes.rank(recording, "quoted_string", without=without)


def test_the_commands_say_what_was_left_out(source):
    path = source[0]
    asked = ["--concept", "quoted_string", "--without", "triple_quoted_string"]
    table = CliRunner().invoke(app, ["rank", str(path), *asked]).stdout
    assert "Not scored: 317 positions inside triple_quoted_string." in table.splitlines()
    rows = json.loads(CliRunner().invoke(app, ["rank", str(path), *asked, "--json"]).stdout)
    assert rows[0]["left_out"] == {"triple_quoted_string": 317}
    table = CliRunner().invoke(app, ["probe", str(path), *asked, "--quick"]).stdout
    assert "Not scored: 317 positions inside triple_quoted_string." in table.splitlines()
    with interp.open(path) as recording:
        kept = read_results(recording)
        assert {result["kind"] for result in kept} == {"rank", "probe"}
        for result in kept:
            assert result["result"]["left_out"] == {"triple_quoted_string": 317}
            assert result["parameters"]["delimiters"] == "state"
