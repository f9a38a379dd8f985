"""The routes: right answers, and a clear refusal of everything else."""

from __future__ import annotations

import numpy as np
import pytest
from flask import Flask

from dashboard import create_app
from dashboard.sources import MemorySource
from dashboard.sources.synthetic import synthetic_source

BASE = "/api/synthetic"


@pytest.fixture(scope="module")
def app(source):
    return create_app(source)


@pytest.fixture(scope="module")
def client(app):
    return app.server.test_client()


def test_values_are_the_recorded_ones(client, source):
    answer = client.get(f"{BASE}/values?site=lstm/l0/cell+lstm/l1/hidden&unit=2&start=10&stop=60")
    assert answer.status_code == 200
    size = 4 + 2 * 50
    for k, site in enumerate(["lstm/l0/cell", "lstm/l1/hidden"]):
        piece = answer.data[k * size : (k + 1) * size]
        limit = np.frombuffer(piece[:4], "<f4")[0]
        values = np.frombuffer(piece[4:], "<f2")
        np.testing.assert_array_equal(values, source.unit(site, 2, 10, 60))
        whole = np.abs(source.unit(site, 2, 0, source.streams["text"].n_positions))
        assert (whole <= limit).mean() > 0.99


def test_the_scale_is_the_same_before_and_after_statistics():
    source = synthetic_source(n_units=6)
    client = create_app(source).server.test_client()
    address = f"{BASE}/values?site=lstm/l0/cell&unit=3&start=0&stop=1"
    fresh = create_app(source).server.test_client()
    fresh.get(f"{BASE}/units?site=lstm/l0/cell")
    assert client.get(address).data[:4] == fresh.get(address).data[:4]


def test_about_names_sites_streams_and_annotations(client, source):
    about = client.get(f"{BASE}/about").json
    assert [site["name"] for site in about["sites"]] == list(source.sites)
    assert about["streams"][0]["nPositions"] == source.streams["text"].n_positions
    assert about["annotations"][0]["name"] == "string"
    assert about["fingerprint"] == source.fingerprint


def test_text_comes_with_its_documents(client, source):
    part = client.get(f"{BASE}/text").json
    assert part["text"] == "".join(source.text("text", i) for i in range(6))
    assert part["documents"][1]["position"] == source.streams["text"].document_start[1]
    assert part["hasSpans"] is False


@pytest.mark.parametrize(
    "address, wanted",
    [
        ("exact?site=lstm/l0/cell&unit=1&position=7", "value"),
        ("predictions?start=0&stop=5", "tokens"),
        ("units?site=lstm/l1/hidden", "spread"),
        ("histogram?site=lstm/l1/hidden&unit=0", "counts"),
        ("documents?stream=text&find=tex&sort=-loss", "rows"),
        ("provenance", "seed"),
    ],
)
def test_json_answers(client, address, wanted):
    answer = client.get(f"{BASE}/{address}")
    assert answer.status_code == 200
    assert wanted in answer.json


def test_tracks(client, source):
    answer = client.get(f"{BASE}/track?name=string&start=0&stop=200")
    found = np.frombuffer(answer.data, "<f2")
    np.testing.assert_array_equal(found, source.annotation("string", 0, 200))
    assert len(client.get(f"{BASE}/track?name=loss&start=5&stop=9").data) == 8


def test_categories_come_with_their_codes():
    codes = np.array([1, 1, 0, -1, 2])
    source = MemorySource(
        [("a", "abcde")],
        {"m/output": np.zeros((5, 1), np.float16)},
        annotations={"kind": codes},
        categories={"kind": ["noun", "verb", "end"]},
        name="kinds",
    )
    client = create_app(source).server.test_client()
    found = client.get("/api/kinds/track?name=kind&start=0&stop=5").data
    assert np.frombuffer(found, "<u2").tolist() == [1, 1, 0, 0xFFFF, 2]
    answer = client.get("/api/kinds/categories?name=kind").json
    assert answer["names"] == ["noun", "verb", "end"]
    assert answer["order"][0] == 1


@pytest.mark.parametrize(
    "address, status, message",
    [
        ("values?site=lstm/l0/cel&unit=0&start=0&stop=9", 404, "nearest: lstm/l0/cell"),
        ("values?site=lstm/l0/cell&unit=24&start=0&stop=9", 404, "24 units (0 to 23)"),
        ("values?site=lstm/l0/cell&unit=-1&start=0&stop=9", 400, "'unit' must lie in"),
        ("values?site=lstm/l0/cell&unit=0&start=9&stop=3", 400, "not within"),
        ("values?site=lstm/l0/cell&unit=0&start=0&stop=99999999", 400, "not within"),
        ("values?site=lstm/l0/cell&unit=0&start=0", 400, "'stop' is missing"),
        ("values?site=lstm/l0/cell&unit=0x1&start=0&stop=9", 400, "whole number"),
        ("values?site=lstm/l0/cell&unit=1_0&start=0&stop=9", 400, "whole number"),
        ("values?site=lstm/l0/cell&unit=%D9%A1&start=0&stop=9", 400, "whole number"),
        ("values?site=lstm/l0/cell&unit=99999999999999999999&start=0&stop=9", 400, "whole"),
        ("values?site=" + "+".join(["lstm/l0/cell"] * 17) + "&unit=0&start=0&stop=9", 400, "most"),
        ("values?unit=0&start=0&stop=9", 404, "No site named"),
        ("text?part=1", 400, "'part' must lie"),
        ("text?stream=nope", 404, "No stream named"),
        ("spans", 404, "no spans"),
        ("track?name=nope&start=0&stop=9", 404, "No annotation"),
        ("documents?sort=name", 400, "one of index"),
        ("documents?rows=100000", 400, "'rows' must lie"),
        ("categories?name=nope", 404, "No annotation"),
        ("categories?name=string", 404, "no categories"),
        ("predictions?start=0&stop=2000", 400, "At most 1024"),
        ("exact?site=lstm/l0/cell&unit=0&position=99999999", 400, "'position' must lie"),
        ("heat?site=lstm/l0/cell&unit=0&start=0&stop=6000", 400, "At most 5000"),
        ("heat?site=lstm/l0/cell&unit=0&start=0&stop=60&sort=x", 400, "one of index"),
        ("heat?site=lstm/l0/cell&unit=0&start=0&stop=60&units=3-1", 400, "not within"),
        ("heat?site=lstm/l0/cell&unit=0&start=0&stop=60&units=a", 400, "must look like"),
        ("heat?site=lstm/l0/cell&unit=0&start=0&stop=60&units=99", 400, "not within"),
        ("heat?site=lstm/l0/cell&unit=0&start=0&stop=60&columns=0", 400, "'columns' must lie"),
        ("nope", 404, "There is nothing at"),
        ("../../etc/passwd", 404, "There is nothing at"),
    ],
)
def test_refusals_say_why(client, address, status, message):
    answer = client.get(f"{BASE}/{address}")
    assert answer.status_code == status
    assert message in answer.json["error"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nope", "/api/a/b/c", "/api/nope/about"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_unknown_routes_are_404(client, path, method):
    answer = getattr(client, method)(path, follow_redirects=True)
    assert answer.status_code in (404, 405)


def test_a_failing_source_is_told_in_the_answer(source, monkeypatch):
    broken = synthetic_source(n_units=3)
    monkeypatch.setattr(broken, "unit", lambda *_: 1 / 0)
    client = create_app(broken).server.test_client()
    answer = client.get(f"{BASE}/values?site=lstm/l0/cell&unit=0&start=0&stop=9")
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.json["error"]


def test_views_bring_routes_along_but_none_that_is_taken(source):
    from dashboard.answers import json_answer
    from dashboard.api import all_routes, blueprint
    from dashboard.library import Library

    server = Flask("test")
    own = {"double": lambda query: json_answer(2 * query.integer("n"))}
    server.register_blueprint(blueprint(Library([source]), [own]))
    assert server.test_client().get(f"{BASE}/double?n=4").json == 8
    assert server.test_client().get(f"{BASE}/double").status_code == 400
    with pytest.raises(ValueError, match="two routes are named 'double'"):
        all_routes([own, own])


def test_a_hundred_thousand_documents_are_sent_in_pages():
    n = 100_000
    documents = [(f"a/rather/long/name/of/document_{i}.txt", "x") for i in range(n)]
    source = MemorySource(documents, {"m/output": np.zeros((n, 1), np.float16)}, name="many")
    client = create_app(source).server.test_client()
    page = client.get("/api/many/documents?find=_9999&start=4&rows=7")
    assert [row["index"] for row in page.json["rows"]] == [
        99993,
        99994,
        99995,
        99996,
        99997,
        99998,
        99999,
    ]
    for address in ("about", "text?part=3", "documents?rows=500"):
        assert len(client.get(f"/api/many/{address}").data) < 2_000_000


def test_one_heat_map_stays_small(client):
    answer = client.get(f"{BASE}/heat?site=lstm/l0/cell&unit=0&start=0&stop=5000&columns=1024")
    assert answer.status_code == 200
    assert len(answer.data) < 2_000_000


def test_several_recordings_of_one_name_keep_apart():
    sources = [synthetic_source(n_units=3), synthetic_source(n_units=4)]
    client = create_app(sources).server.test_client()
    rows = client.get("/api/recordings").json
    assert [row["key"] for row in rows] == ["synthetic", "synthetic-2"]
    assert client.get("/api/synthetic-2/about").json["sites"][0]["nUnits"] == 4


class TestSecurity:
    @pytest.mark.parametrize("path", ["/", "/api/recordings", "/_dash-layout", "/nope"])
    def test_foreign_hosts_are_refused(self, client, path):
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 400
        assert client.get(path, headers={"Host": "localhost.evil.example"}).status_code == 400

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
    def test_foreign_origins_are_refused(self, client, origin):
        headers = {"Host": "127.0.0.1:8050", "Origin": origin}
        assert client.get("/api/recordings", headers=headers).status_code == 403
        posted = client.post("/_dash-update-component", headers=headers, json={})
        assert posted.status_code == 403

    def test_own_origin_is_fine(self, client):
        headers = {"Host": "127.0.0.1:8050", "Origin": "http://127.0.0.1:8050"}
        assert client.get("/api/recordings", headers=headers).status_code == 200

    def test_other_sites_may_link_but_not_read(self, client):
        reading = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        linking = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert client.get("/api/recordings", headers=reading).status_code == 403
        assert client.get("/", headers=linking).status_code == 200

    def test_only_own_scripts_run(self, client):
        policy = client.get("/").headers["Content-Security-Policy"]
        scripts = next(rule for rule in policy.split("; ") if rule.startswith("script-src"))
        assert "'self'" in scripts
        assert "unsafe" not in scripts and "http" not in scripts
        assert "frame-ancestors 'none'" in policy

    def test_no_tools_and_no_debugger(self, app, client):
        assert client.get("/_mcp").status_code in (200, 404)
        assert b"jsonrpc" not in client.get("/_mcp").data
        assert b"debugger" not in client.get("/console").data.lower()
        assert not app.server.debug


def test_the_page_has_few_components(app):
    layout = app.layout()
    assert sum(1 for _ in layout._traverse()) <= 300


def test_two_apps_in_one_process(source):
    for app in (create_app(source), create_app(source)):
        client = app.server.test_client()
        assert client.get("/").status_code == 200
        assert len(client.get("/_dash-dependencies").json) == 1


def test_the_title_and_the_language_are_set(client):
    page = client.get("/").data.decode()
    assert '<html lang="en">' in page and "<title>interp</title>" in page
    assert "http://" not in page and "https://" not in page
