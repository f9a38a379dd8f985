"""Search, a unit's places and the findings page, over a planted unit."""

from __future__ import annotations

import time

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboard import create_app
from dashboard.contexts import GROUPS, unit_contexts
from dashboard.sources import MemorySource, open_sources
from tests.dashboard.conftest import served, until
from tests.dashboard.finding_recording import (
    LENGTH,
    N_DOCUMENTS,
    PLANTED,
    add_results,
    inside_quotes,
    texts,
    write_recording,
)

STATE = "key => interp.selection.get()[key]"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = write_recording(tmp_path_factory.mktemp("findings") / "run.h5")
    add_results(made)
    return made


@pytest.fixture(scope="module")
def source(path):
    (found,) = open_sources([path])
    yield found
    found.close()


@pytest.fixture(scope="module")
def client(source):
    return create_app(source).server.test_client()


@pytest.fixture(scope="module")
def address(source):
    with served(source) as url:
        yield url


def ask(client, path, status=200):
    answer = client.get(f"/api/run/{path}", headers={"Host": "127.0.0.1"})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.json


def searched(client, question):
    for _ in range(600):
        job = ask(client, f"search?{question}")
        if job["state"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_the_planted_unit_is_found_on_unseen_documents(client):
    job = searched(client, "concept=string&scope=states")
    found = job["result"]
    best = found["units"][0]
    assert (best["unit"], best["sign"]) == (PLANTED, 1)
    assert best["interval"][0] <= best["score"] <= best["interval"][1] and best["score"] > 0.97
    assert found["nDocuments"] + found["nSelection"] == N_DOCUMENTS
    assert found["null95"] < best["score"] and not found["isDraft"]


def test_the_draft_has_it_first_and_says_what_it_is(path, monkeypatch):
    import interp
    from dashboard.search import draft
    from probes.tracks import load_tracks

    monkeypatch.setattr("dashboard.search.N_DRAFT", 1_024)
    with interp.open(path) as recording:
        track = load_tracks(recording, ["string"])[0]
        found = draft(recording, track, ["lstm/l0/cell", "lstm/l0/hidden"])
    assert found["isDraft"] and found["nPositions"] <= 1_024 and found["nUnits"] == 12
    assert found["units"][0]["unit"] == PLANTED


def test_selected_text_finds_the_unit_and_similar_places(client):
    text = texts()[0]
    start = text.index("'") + 1
    stop = text.index("'", start)
    job = searched(client, f"start={start}&stop={stop}&stream=text&scope=states")
    found = job["result"]
    assert found["units"][0]["unit"] == PLANTED and found["units"][0]["sign"] == 1
    masks = np.concatenate([inside_quotes(text) for text in texts()])
    places = found["places"]
    assert len(places) >= 5
    inside = [masks[place["position"] : place["stop"]].mean() for place in places]
    assert np.mean(inside) > 0.8
    document = places[0]["position"] // LENGTH
    assert places[0]["document"] == f"file_{document}.py"
    offset = places[0]["position"] - document * LENGTH
    assert texts()[document][offset:].startswith(places[0]["inside"])


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        ("search?concept=strinq&scope=states", 404, "string"),
        ("search?start=5&stop=5&stream=text", 400, "Select some text"),
        ("search?start=5&stop=999999&stream=text", 400, "not within"),
        ("search?concept=string&scope=some", 400, "states, site, all"),
        ("result?file=../../etc/passwd", 404, "no result"),
        ("contexts?site=lstm/l0/cell&unit=6", 404, "6 units"),
    ],
)
def test_what_cannot_be_asked_is_said(client, question, status, words):
    assert words in ask(client, question, status)["error"]


def test_a_recording_in_memory_says_what_searching_needs():
    memory = MemorySource([("a", "xy")], {"a/output": np.zeros((2, 2), np.float16)}, name="run")
    client = create_app(memory).server.test_client()
    assert "in a file" in ask(client, "search?concept=string", 404)["error"]
    assert ask(client, "results")["results"] == []


def test_a_units_places_are_its_extremes_each_text_once(source):
    site = source.sites["lstm/l0/cell"]
    groups = unit_contexts(source, site, 2)
    assert set(groups) == set(GROUPS)
    values = source.unit(site.name, 2, 0, N_DOCUMENTS * LENGTH).astype(np.float32)
    assert groups["highest"][0]["value"] == values.max()
    assert groups["lowest"][0]["value"] == values.min()
    found = [row["value"] for row in groups["highest"]]
    assert found == sorted(found, reverse=True)
    whole = "".join(texts())
    for row in [row for rows in groups.values() for row in rows]:
        assert row["inside"] == whole[row["position"]]
        at = row["position"] % LENGTH
        assert whole[row["position"] - len(row["before"]) : row["position"]] == row["before"]
        assert len(row["before"]) <= at  # never from another document


def test_a_text_that_comes_again_is_counted():
    text = "abc def " * 200
    values = np.zeros((len(text), 1), np.float16)
    values[4::8] = 1
    source = MemorySource([("a", text)], {"a/output": values})
    rows = unit_contexts(source, source.sites["a/output"], 0)["highest"]
    assert max(row["times"] for row in rows) > 10
    assert len({row["before"][-12:] + row["inside"] + row["after"][:6] for row in rows}) == len(
        rows
    )


def test_white_space_that_no_token_holds_is_shown():
    spans = np.array([[0, 0], [0, 3], [4, 7], [8, 9], [9, 11], [11, 11]])  # [CLS], words, [SEP]
    values = np.array([0, 0, 1, 0, 0, 0], np.float16)[:, None]
    source = MemorySource([("a", "the cat sat")], {"a/output": values}, spans=[spans])
    groups = unit_contexts(source, source.sites["a/output"], 0)
    row = groups["highest"][0]
    assert (row["before"], row["inside"], row["after"]) == ("the ", "cat", " sat")


def test_a_unit_knows_its_concepts_and_results(client):
    facts = ask(client, "unit_facts?site=lstm/l0/cell&unit=2")
    assert facts["concepts"][0]["name"] == "string" and facts["concepts"][0]["auroc"] > 0.97
    assert [row["what"] for row in facts["results"]] == ["tells string", "forget gate"]
    assert "place 1 of 18 units" in facts["results"][0]["text"]
    assert facts["results"][0]["nDocuments"] == N_DOCUMENTS // 2
    other = ask(client, "unit_facts?site=lstm/l0/cell&unit=1")["results"]
    assert "above 0.9 in 100%" in other[-1]["text"]


def test_results_of_another_recording_are_not_shown(client, path):
    from shutil import copy

    names = {row["file"] for row in ask(client, "results")["results"]}
    assert {row.split(".")[0] for row in names} == {"rank", "dynamics"}
    stranger = path.with_suffix(".results") / "rank.other.00000000.json"
    copy(path.with_suffix(".results") / next(n for n in names if n.startswith("rank")), stranger)
    stranger.write_text(stranger.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    try:
        assert {row["file"] for row in ask(client, "results")["results"]} == names
    finally:
        stranger.unlink()


def test_results_of_one_concept_are_told_apart_by_their_sites(client, path):
    import interp
    from probes.results import write_result

    with interp.open(path) as recording:
        written = [
            write_result(recording, "probe", "string", {"sites": sites}, {"n_documents": 4})
            for sites in (["lstm/l0/cell"], ["lstm/l0/hidden", "lstm/l0/cell"])
        ]
    try:
        rows = ask(client, "results")["results"]
        titles = {row["title"] for row in rows if row["kind"] == "probe"}
        assert titles == {"string · lstm/l0/cell", "string · lstm/l0/hidden and 1 more"}
        assert [row["title"] for row in rows if row["kind"] == "rank"] == ["string"]
    finally:
        for file in written:
            file.unlink()


def test_a_result_says_what_was_not_scored(client, path):
    import interp
    from probes.results import write_result

    with interp.open(path) as recording:
        asked = {"delimiters": "apart", "without": ["comment"]}
        file = write_result(recording, "rank", "string", asked, {"n_documents": 4, "scores": []})
    try:
        (title,) = [r["title"] for r in ask(client, "results")["results"] if r["file"] == file.name]
        assert title == "string, marks apart, without comment"
        assert ask(client, f"result?file={file.name}")["title"] == title
    finally:
        file.unlink()


def test_steering_is_a_table_and_a_lost_result_is_said(address, open_page, path):
    import interp
    from probes.results import write_result

    token = {"token": "'", "before": 0.003, "after": 0.0041, "interval": [-0.0006, 0.0015]}
    steered = {
        "unit": PLANTED, "concept": "string", "to": "inside", "value": [0.5], "places": "outside",
        "tokens": [{**token, "ends": 0.6, "random_highest": 0.0006}], "n_positions": 7774,
        "n_documents": 16, "text": None, "next_before": None, "next_after": None,
    }  # fmt: skip
    with interp.open(path) as recording:
        file = write_result(recording, "steer", "string", {"unit": PLANTED}, steered)
    try:
        page = open_page(f"{address}/?view=findings&finding={file.name}", wait=False)
        page.wait_for_selector(".pane-result td")
        cells = page.locator(".pane-result td").all_inner_texts()
        assert cells == ["'", "0.30 %", "0.41 %", "\u22120.06 to +0.15", "0.06", "60.0 %"]
    finally:
        file.unlink()
    page.goto(f"{address}/?view=findings&finding={file.name}")
    page.wait_for_selector(".pane-result .empty-note")
    assert file.name in page.locator(".empty-note").inner_text()


def test_searching_on_the_page_and_choosing_a_unit(address, open_page):
    page = open_page(f"{address}/?panel=search&unit=0&site=lstm/l0/hidden")
    page.get_by_label("Concept").select_option("string")
    page.wait_for_selector(".search-panel[data-state=done]")
    row = page.locator(".search-units tbody tr").first
    assert row.locator("td").first.inner_text() == PLANTED
    assert "others" in page.locator(".search-note").first.inner_text()
    row.get_by_role("button").click()
    page.wait_for_selector(".coloured-text[data-unit='2']")
    assert page.evaluate(STATE, "site") == "lstm/l0/cell"
    until(page, "location.search.includes('concept=string')")


def test_a_link_to_a_search_works_it_out_again(address, open_page):
    page = open_page(f"{address}/?panel=search&concept=string&scope=site&site=lstm/l0/cell")
    page.wait_for_selector(".search-panel[data-state=done]")
    expect(page.locator(".search-units tbody tr")).to_have_count(6)


def test_selected_text_on_the_page(address, open_page):
    text = texts()[0]
    start = text.index("'") + 1
    stop = text.index("'", start)
    page = open_page(f"{address}/?panel=search&range={start}-{stop}")
    page.get_by_label("Concept").select_option("")
    page.wait_for_selector(".search-panel[data-state=done] .snippet")
    page.locator(".snippet-text").first.click()
    until(page, "() => interp.selection.get().pos !== null")


def test_the_unit_panel(address, open_page):
    page = open_page(f"{address}/?panel=unit&site=lstm/l0/cell&unit=2")
    page.wait_for_selector(".contexts .unit-facts")
    assert page.locator(".contexts-group[data-group]").count() == len(GROUPS)
    assert "tells string" in page.locator(".unit-facts").inner_text()
    page.keyboard.press("]")
    page.wait_for_selector(".contexts[data-unit$='|3']")


def test_findings_are_listed_and_lead_to_units(address, open_page):
    page = open_page(f"{address}/?view=findings", wait=False)
    page.wait_for_selector(".pane-result[data-shown^='rank']")
    page.wait_for_selector(".chart[data-painted='2']")
    page.locator(".result-name", has_text="saturation").click()
    page.wait_for_selector(".pane-result[data-shown^='dynamics'] .chart[data-painted]")
    # The point of unit 1: above 0.9 always.
    at = page.evaluate(
        """() => { const c = document.querySelector('.chart').controller;
          const box = c.canvas.getBoundingClientRect();
          return [box.left + c.px(1), box.top + c.py(0)]; }"""
    )
    page.mouse.move(*at)
    assert page.locator(".chart-note").inner_text().startswith("unit 1: above 0.9 in 100 %")
    page.mouse.click(*at)
    page.mouse.move(5, 5)  # not over the unit list, which would preview another unit
    page.wait_for_selector(".coloured-text[data-unit='1']")
    assert page.evaluate(STATE, "site") == "lstm/l0/forget_gate"


@pytest.mark.parametrize(
    ("search", "wait", "theme"),
    [
        ("view=findings", ".chart[data-painted]", "dark"),
        ("panel=search&concept=string", ".search-panel[data-state=done]", "light"),
        ("panel=unit", ".contexts .unit-facts", "dark"),
    ],
)
def test_axe_finds_nothing_serious(address, open_page, search, wait, theme):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(f"{address}/?{search}&theme={theme}", wait=False)
    page.wait_for_selector(wait)
    page.wait_for_timeout(300)
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []


def test_an_interval_of_one_document_is_no_error_of_the_page(client, path):
    """With the concept in one document only there is none, and JSON has null."""
    import interp
    from probes.results import write_result

    effect = {"effect": 0.5, "interval": [None, None], "n_documents": 1, "random": None}
    score = {"unit": PLANTED, "auroc": 0.9, "interval": [None, None], "n_documents": 4}
    results = {
        "rank": {"scores": [score], "n_units": 6, "n_documents": 4},
        "ablate": {"unit": PLANTED, "concept": "c", "mode": "mean", "effects": {"end": effect}},
    }
    with interp.open(path) as recording:
        files = [write_result(recording, kind, "c", {}, found) for kind, found in results.items()]
    try:
        site, unit = PLANTED.split(":")
        said = [
            row["text"] for row in ask(client, f"unit_facts?site={site}&unit={unit}")["results"]
        ]
        assert "AUROC 0.900 on unseen documents, place 1 of 6 units" in said
        assert "+0.500 nats end" in said
    finally:
        for file in files:
            file.unlink()
