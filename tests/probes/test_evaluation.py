"""Probes: estimators, baselines, control task, description length, and what is refused."""

import json

import numpy as np
import pytest
import typer
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import interp
import probes
from interp.cli.probe import probe as probe_command
from interp.errors import InterpError
from probes.baselines import context_codes
from probes.mdl import online_code
from probes.results import read_results
from probes.samples import Samples
from tests.probes.planted import planted_values, slow_labels, write_recording

N, STARTS = 6_000, np.arange(0, 6_001, 150)
LABELS = slow_labels(N, 0.2)
OPTIONS = {"n_resamples": 50, "strength": 0.1}


def _values(seed=0, informative=True):
    values = planted_values(LABELS, 12, seed=seed)
    values[:, 11] = 0  # no NaN here
    if not informative:
        values[:, [3, 5, 7]] = values[:, [0, 1, 2]]
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    rng = np.random.default_rng(5)
    # The token hints at the label, so the current-token baseline is above chance.
    tokens = np.where(rng.random(N) < 0.6, LABELS, rng.random(N) < 0.5) * 20
    tokens = tokens + rng.integers(0, 20, N)
    arrays = {"lstm/l0/cell": _values(), "lstm/l1/cell": _values(1, informative=False)}
    noise = {site: _values(2, informative=False) for site in arrays}
    write_recording(folder / "run.h5", arrays, STARTS, token_ids=tokens)
    write_recording(folder / "random.h5", noise, STARTS, token_ids=tokens)
    write_recording(folder / "other.h5", noise, STARTS, token_ids=tokens[::-1].copy())
    return folder


@pytest.fixture
def recording(folder):
    with interp.open(folder / "run.h5") as found:
        yield found


def test_a_report_has_everything_beside_the_score(recording, folder):
    with interp.open(folder / "random.h5") as random:
        report = probes.evaluate(
            recording, "planted", "lstm/l0/cell", values=LABELS, random_init=random,
            embedding="lstm/l1/cell", **OPTIONS,
        )  # fmt: skip
    assert report.metric == "auroc" and report.score > 0.99
    assert report.interval[0] <= report.score <= report.interval[1] + 1e-9
    known = {"majority", "current_token", "last_3_tokens", "embedding", "random_init"}
    assert set(report.baselines) == known
    areas = {name: scores["auroc"] for name, scores in report.baselines.items()}
    assert areas["majority"] == 0.5 and 0.7 < areas["current_token"] < 0.9
    assert abs(areas["random_init"] - 0.5) < 0.1
    assert report.control["selectivity"] > 0.2
    assert report.description["compression_of_entropy"] > 3
    assert report.base_rate == pytest.approx(LABELS.mean(), abs=0.1)
    assert report.n_documents == 20 and report.n_fit_documents == 20
    assert report.top_units[0]["unit"] == "lstm/l0/cell:3" and report.top_units[0]["weight"] < 0
    json.dumps(report.to_dict())


def test_a_probe_on_noise_is_at_its_baselines(recording):
    report = probes.evaluate(recording, "planted", "lstm/l1/cell", values=LABELS, **OPTIONS)
    assert abs(report.score - 0.5) < 0.1
    assert report.baselines["current_token"]["auroc"] > report.score
    assert report.description["compression_of_entropy"] < 1.05


def test_classes_and_numbers(recording):
    words = np.where(LABELS, "in", np.where(np.arange(N) % 3 == 0, "third", "out"))
    report = probes.evaluate(recording, "kind", "lstm/l0/cell", values=words, **OPTIONS)
    assert report.classes == ["in", "out", "third"] and report.metric == "accuracy"
    assert report.score > report.baselines["majority"]["accuracy"] + 0.1
    report = probes.evaluate(
        recording, "number", "lstm/l0/cell", values=LABELS * 3.0 + np.arange(N) % 2, **OPTIONS
    )
    assert report.metric == "r_squared" and 0.6 < report.score < 1
    assert report.description is None and report.baselines["majority"]["r_squared"] <= 0
    assert report.interval[0] < report.score < report.interval[1]


def test_a_sweep_finds_the_layer(recording):
    sweep = probes.sweep(
        recording, "planted", "lstm/*", values=LABELS, control=False, description=False, **OPTIONS
    )
    table = sweep.to_frame()
    assert table["sites"].tolist() == ["lstm/l0/cell", "lstm/l1/cell"]
    assert table["auroc"][0] > 0.99 > table["auroc"][1] + 0.3
    figure = sweep.figure()
    assert list(figure.data[0].y) == table["auroc"].tolist()
    assert {"majority", "current token"} <= {trace.name for trace in figure.data}


def test_k_sparse_and_own_estimators(recording):
    sparse = probes.evaluate(
        recording, "planted", "lstm/l0/cell", values=LABELS, probe="k_sparse", k=2, **OPTIONS
    )
    assert [unit["unit"] for unit in sparse.top_units] == ["lstm/l0/cell:3", "lstm/l0/cell:5"]
    own = make_pipeline(StandardScaler(), probes.LogisticProbe(C=0.5))
    report = probes.evaluate(recording, "planted", values=LABELS, probe=own, control=False,
                             description=False, n_resamples=50)  # fmt: skip
    assert report.score > 0.99 and report.n_units == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe": "ridge"}, "ridge probe is for numbers, but the labels are binary"),
        ({"probe": "forest"}, "A probe is logistic, ridge, k_sparse or an estimator"),
        ({"probe": RidgeClassifier()}, "RidgeClassifier has no predict_proba"),
        ({"embedding": "lstm/l2/cell"}, "has no site lstm/l2/cell"),
        ({"values": LABELS[1:]}, "one label per position"),
    ],
)
def test_what_cannot_be_probed_is_said_once(recording, options, message):
    with pytest.raises(InterpError, match=message):
        probes.evaluate(recording, "planted", "lstm/l0/cell", **({"values": LABELS} | options))


def test_a_baseline_from_other_text_is_refused(recording, folder):
    with (
        interp.open(folder / "other.h5") as other,
        pytest.raises(InterpError, match="not recorded from the same text"),
    ):
        probes.evaluate(recording, "planted", values=LABELS, random_init=other, strength=1.0)


def test_units_with_nan_are_refused_by_name(tmp_path):
    path = write_recording(tmp_path / "run.h5", planted_values(LABELS), STARTS)
    with interp.open(path) as recording, pytest.raises(InterpError, match="cell:11 holds NaN"):
        probes.evaluate(recording, "planted", values=LABELS)


def test_the_command(folder):
    with interp.open(folder / "run.h5") as recording:
        recording.write_annotation("planted", LABELS, kind="binary", overwrite=True)
    app = typer.Typer()
    app.command()(probe_command)
    command = [str(folder / "run.h5"), "--concept", "planted", "--quick",
               "--resamples", "50", "--random-init", str(folder / "random.h5")]  # fmt: skip
    figure = folder / "sweep.html"
    done = CliRunner().invoke(app, [*command, "--figure", str(figure)])
    assert done.exit_code == 0, done.output
    assert "lstm/l0/cell" in done.stdout and "random init" in done.stdout
    assert figure.stat().st_size > 10_000
    with interp.open(folder / "run.h5") as recording:
        kept = read_results(recording, "sweep")
    assert len(kept) == 1 and len(kept[0]["result"]["reports"]) == 2
    done = CliRunner().invoke(app, [*command, "--figure", "a.png"])
    assert isinstance(done.exception, InterpError)


# --- estimators --------------------------------------------------------------------------------


def _data(seed=0, n=400):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)) * np.array([1, 10, 0.01, 1, 1, 0]) + 5
    return X, X[:, 0] * 2 + X[:, 2] * 100 + rng.normal(size=n)


@pytest.mark.parametrize("estimator", [probes.LogisticProbe(), probes.KSparseProbe(k=2)])
def test_classifiers_follow_scikit_learn(estimator):
    X, y = _data()
    words = np.where(y > np.median(y), "high", "low")
    assert cross_val_score(estimator, X, words).mean() > 0.7
    fitted = clone(estimator).fit(X, words)
    assert fitted.predict_proba(X).shape == (400, 2) and set(fitted.predict(X)) == {"high", "low"}
    with pytest.raises(ValueError, match="features"):
        fitted.predict(X[:, :3])


def test_a_probe_does_not_see_scale_or_shift():
    X, y = _data()
    a = probes.LogisticProbe().fit(X, y > y.mean()).decision_function(X)
    b = probes.LogisticProbe().fit(X * 1000 + 7, y > y.mean()).decision_function(X * 1000 + 7)
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_ridge_equals_scikit_learn():
    X, y = _data()
    ours = probes.RidgeProbe(penalties=[0.1]).fit(X, y)
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), np.inf)
    theirs = Ridge(alpha=0.1 * len(X)).fit(Z, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(Z), atol=1e-8)
    both = probes.RidgeProbe().fit(X, np.stack([y, -2 * y], axis=1))
    assert both.coef_.shape == (2, 6) and both.predict(X).shape == (400, 2)
    assert ours.score(X, y) > 0.8
    noise = probes.RidgeProbe().fit(X, np.random.default_rng(1).normal(size=400))
    assert noise.penalty_ == 1.0  # nothing to learn: the strongest penalty


# --- parts -------------------------------------------------------------------------------------


def test_contexts_end_at_documents():
    codes = context_codes(np.array([1, 2, 1, 2, 1, 2]), np.array([0, 4, 6]), 2)
    assert codes[1] == codes[3] == codes[5]  # 1, 2
    assert codes[0] == codes[4] != codes[2]  # a document's start, and 2, 1


def test_the_online_code_of_what_is_known_and_of_noise():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    starts = np.arange(0, 2001, 100)
    X = y[:, None] * 6.0 + rng.normal(size=(2000, 1))
    known = online_code(X, y, starts, probes.LogisticProbe)
    assert known.uniform_bits == 2000 and known.compression > 8
    noise = online_code(rng.normal(size=(2000, 1)), y, starts, probes.LogisticProbe)
    assert 0.9 < noise.compression < 1.01
    rare = online_code(rng.normal(size=(2000, 1)), rng.random(2000) < 0.1, starts,
                       probes.LogisticProbe)  # fmt: skip
    assert rare.compression > 1.8 and rare.compression_of_entropy < 1.01


def test_words_average_their_positions(recording):
    from probes.documents import Rows

    word = np.repeat(np.arange(N // 3), 3)
    samples = Samples.of(Rows.of(STARTS, np.arange(2)), 10**9, word)
    values = np.asarray(recording["lstm/l0/cell"][:300], np.float32)
    found = samples.read(recording, ["lstm/l0/cell"])
    np.testing.assert_allclose(found, values.reshape(100, 3, 12).mean(axis=1), atol=1e-3)
    assert samples.rows.index.tolist() == list(range(2, 300, 3))
    assert RidgeClassifier().fit(found, LABELS[samples.rows.index]).score(
        found, LABELS[samples.rows.index]
    ) > 0.8  # fmt: skip


def test_public_names_are_not_shadowed_by_modules():
    for _ in range(2):
        assert all(callable(getattr(probes, name)) for name in probes.__all__)


def test_random_weights_get_the_strength_that_suits_them_or_the_probes_own(folder):
    options = {"control": False, "description": False, "n_resamples": 5, "n_fit": 400}
    with interp.open(folder / "random.h5") as noise, interp.open(folder / "run.h5") as known:
        beside = probes.evaluate(noise, "x", "lstm/l0/cell", values=LABELS, random_init=known,
                                 **options)  # fmt: skip
        alone = probes.evaluate(known, "x", "lstm/l0/cell", values=LABELS, **options)
        shared = probes.evaluate(known, "x", "lstm/l0/cell", values=LABELS, strength=0.0001,
                                 **options)  # fmt: skip
    assert beside.probe == shared.probe != alone.probe and alone.score > shared.score
    assert beside.baselines["random_init"] == pytest.approx(alone.scores)


def test_a_rare_class_is_fitted_as_well_as_a_common_one():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40_000, 60)), rng.random(40_000) < 0.004
    X = X @ (rng.normal(size=(60, 60)) / 8 + np.eye(60))
    X[:, :6] += 0.8 * y[:, None]
    fit, test = slice(20_000), slice(20_000, None)
    found = probes.LogisticProbe().fit(X[fit], y[fit]).decision_function(X[test])
    exact = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-9, max_iter=5_000))
    expected = exact.fit(X[fit], y[fit]).decision_function(X[test])
    areas = [probes.compute_auroc(scores, y[test])[0] for scores in (found, expected)]
    assert areas[1] > 0.95 and areas[0] == pytest.approx(areas[1], abs=0.005)


def test_a_concept_too_rare_for_the_samples_is_said_to_be(recording):
    labels = np.zeros(N, bool)
    labels[7::149] = True
    with pytest.raises(InterpError, match="it is rare. Take more samples"):
        probes.evaluate(recording, "rare", "lstm/l0/cell", values=labels, n_fit=50, n_test=50)
