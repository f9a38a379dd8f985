"""What the attention page is sent: numbers of heads, windows, maps, the steps of a score."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import create_app
from dashboard.attention import fullest_start, pack, patch_names, roots, score_steps, shrink
from dashboard.sources import open_sources
from dashboard.sources.attention import AttentionSource, ImageSource
from tests.dashboard.attention_source import (
    LAYERS,
    WORDS,
    FarSource,
    attention_source,
    even,
    image_source,
    maps,
    pair_source,
    previous,
)


def unpack(body: bytes) -> tuple[dict, bytes]:
    n = int(np.frombuffer(body[:4], "<u4")[0])
    return json.loads(body[4 : 4 + n]), body[4 + n :]


@pytest.fixture(scope="module")
def client():
    return create_app(
        [attention_source(), image_source(), pair_source(), FarSource()]
    ).server.test_client()


def ask(client, path, status=200):
    answer = client.get(f"/api/{path}", headers={"Host": "127.0.0.1"})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 20))
@settings(max_examples=60)
def test_a_thumbnail_keeps_the_largest_weight_of_each_cell(rows, columns, size):
    weights = np.random.default_rng(rows * columns).random((rows, columns)).astype(np.float32)
    down, across = -(-rows // size), -(-columns // size)
    expected = [
        [weights[i : i + down, j : j + across].max() for j in range(0, columns, across)]
        for i in range(0, rows, down)
    ]
    np.testing.assert_array_equal(shrink(weights, size), np.array(expected, np.float32))
    assert max(shrink(weights, size).shape) <= size


def test_codes_are_square_roots():
    assert roots(np.array([0, 1, 0.25, np.nan], np.float32)).tolist() == [0, 255, 128, 0]


def test_what_is_packed_is_aligned():
    for text in ("", "a", "ab", "abc"):
        body = pack({"x": text}, [np.arange(3, dtype="<f4")])
        assert len(body) % 4 == 0
        assert unpack(body)[0] == {"x": text}


def test_patches_are_named_by_row_and_column():
    rectangles = np.array([[0, 0, 0, 0], [0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [0, 0, 0, 0]])
    assert patch_names(rectangles) == ["[class]", "1,1", "1,2", "2,1", "token 4"]
    assert patch_names(rectangles[1:3]) == ["1,1", "1,2"]


def test_steps_lead_from_query_and_keys_to_weights():
    rng = np.random.default_rng(0)
    query, keys = rng.normal(size=8), rng.normal(size=(5, 8))
    score = keys @ query / np.sqrt(8)
    weights = np.exp(score[:4]) / np.exp(score[:4]).sum()
    steps = score_steps(query, keys, np.append(weights, 0))  # the last key was masked
    np.testing.assert_allclose(steps["score"], score)
    np.testing.assert_allclose(steps["softmax"], np.append(weights, 0))
    assert steps["error"] < 1e-12
    assert score_steps(query, keys, np.full(5, 0.2))["error"] > 0.05


def test_the_sites_say_what_there_is(client):
    found = ask(client, "heads/attention_sites").json
    assert [site["name"] for site in found["sites"]] == LAYERS
    assert [site["hasVectors"] for site in found["sites"]] == [False, True]
    assert ask(client, "digits/attention_sites").json["imageStreams"] == ["text"]
    assert ask(client, "heads/about").json["nAttention"] == 2


def test_maps_are_the_recorded_halves(client):
    header, body = unpack(
        ask(client, f"heads/attention_map?site={LAYERS[1]}&head=0&document=0").data
    )
    assert header == {"queries": [0, 8], "keys": [0, 8], "shape": [8, 8]}
    found = np.frombuffer(body, "<f2").reshape(8, 8)
    np.testing.assert_array_equal(found, even(8).astype(np.float16))


def test_a_window_of_a_long_document(client):
    path = f"heads/attention_map?site={LAYERS[0]}&head=0&document=2&start=290&n=64"
    header, body = unpack(ask(client, path).data)
    assert header["queries"] == [290, 300]
    found = np.frombuffer(body, "<f2").reshape(10, 10)
    np.testing.assert_array_equal(found, previous(300)[290:, 290:].astype(np.float16))


def test_thumbnails_and_numbers_of_every_head(client):
    header, body = unpack(ask(client, "heads/heads?document=0").data)
    assert [(row["site"], row["head"]) for row in header["heads"]] == [
        (site, head) for site in LAYERS for head in range(2)
    ]
    codes = np.frombuffer(body, np.uint8).reshape(4, 8, 8)
    np.testing.assert_array_equal(codes, roots(np.concatenate(maps(8))))
    numbers = ask(client, "heads/heads_in_numbers?document=0").json["heads"]
    assert numbers[0]["previous"] == pytest.approx(0.75)
    assert numbers[1]["first"] == 1


@pytest.mark.parametrize(("start", "source"), [(0, 3), (2, 1), (60, 3)])
def test_a_window_beyond_the_shorter_stream_shows_the_end_of_it(client, start, source):
    header, _ = unpack(ask(client, f"pairs/heads?document=0&start={start}&n=16").data)
    # The cross head's keys do not begin where its queries do.
    assert [head["shape"] for head in header["heads"]] == [[source, source], [16, 16], [16, 3]]
    rows = ask(client, f"pairs/heads_in_numbers?document=0&start={start}&n=16").json["heads"]
    assert len(rows) == 3


def test_each_stream_may_have_a_window_of_its_own(client):
    asked = "document=0&start:target=60&n:target=8&start:source=1&n:source=2"
    header, _ = unpack(ask(client, f"pairs/heads?{asked}").data)
    assert [head["shape"] for head in header["heads"]] == [[2, 2], [8, 8], [8, 2]]
    site = "site=decoder.cross/attention&head=0"
    header, body = unpack(ask(client, f"pairs/attention_map?{site}&{asked}").data)
    strongest = [query % 3 for query in range(60, 68)]
    assert header == {"queries": [60, 68], "keys": [1, 3], "shape": [8, 2], "strongest": strongest}
    found = np.frombuffer(body, "<f2").reshape(8, 2)
    np.testing.assert_array_equal(found[:, 0], (np.arange(60, 68) % 3 == 1))


def test_the_graph_gets_every_head_of_every_layer(client):
    header, body = unpack(ask(client, "heads/attention_layers?document=0&n=5").data)
    assert [site["nHeads"] for site in header["sites"]] == [2, 2]
    found = np.frombuffer(body, "<f2").reshape(4, 5, 5)
    np.testing.assert_array_equal(found, np.concatenate(maps(8))[:, :5, :5].astype(np.float16))


@pytest.mark.parametrize(
    ("mass", "start"),
    [
        (np.ones(5), 0),  # no longer than the window
        (np.ones(400), 0),  # as much everywhere
        (np.eye(400)[300], 250),  # one key, in the middle of what is shown
        (np.eye(400)[0] + np.eye(400)[390], 0),  # as much at the beginning as at the end
        (np.eye(400)[399], 300),  # no window goes beyond the end
        (np.full(400, np.nan), 0),
        (np.zeros(400), 0),
    ],
)
def test_a_window_of_keys_begins_where_most_is_looked_at(mass, start):
    assert abs(fullest_start(mass, 100) - start) <= 1


def test_the_keys_of_a_long_source_are_shown_where_the_head_looks(client):
    far = "decoder.0.cross/attention"
    path = "far/place?stream=source&document=0&n=64"
    asked = f"{path}&site={far}&head=0&start:target=0&n:target=20"
    start = ask(client, asked).json["start"]
    assert start <= 300 and 319 < start + 64
    assert ask(client, path).json["start"] == 0
    assert ask(client, asked + "&start=100").json["start"] == 100
    assert ask(client, asked + f"&hold={start}").json["start"] == start
    held = ask(client, asked + "&hold=20").json
    assert held["start"] == 0 and held["document"] == 0
    assert ask(client, asked + "&hold=402").json["start"] == start  # a position of another document
    assert ask(client, asked.replace("0.cross", "1.cross")).json["start"] == 0  # looks everywhere
    header, body = unpack(
        ask(client, f"far/attention_map?site={far}&head=0&n=20&start:source=290&n:source=30").data
    )
    assert header["shape"] == [20, 30] and header["strongest"] == list(range(300, 320))
    np.testing.assert_array_equal(np.frombuffer(body, "<f2").reshape(20, 30)[:, 10:], np.eye(20))


def test_a_place_is_found_by_position(client):
    found = ask(client, "heads/place?position=9").json
    assert (found["document"], found["first"], found["tokens"]) == (1, 8, ["one", " two", " three"])
    assert ask(client, "heads/place?document=0").json["tokens"] == WORDS
    far = ask(client, f"heads/place?position={11 + 250}&n=64").json
    assert far["start"] <= 250 < far["start"] + 64 and far["document"] == 2


def test_query_and_key_of_a_pair(client):
    path = f"heads/query_key?site={LAYERS[1]}&head=0&document=0&query=3"
    found = ask(client, path).json
    assert len(found["keys"]) == 8 and len(found["query"]) == 4
    # All keys are alike, so softmax over those in sight is even, as the map is.
    assert found["error"] < 1e-6


def test_an_image_and_its_rectangles(client):
    header, body = unpack(ask(client, "digits/image?document=0").data)
    assert header["shape"] == [8, 8, 3] and len(header["rectangles"]) == 17
    assert set(body) == {200}


def test_stored_measures_of_heads_stand_beside_those_of_the_window(tmp_path):
    import interp
    from probes.results import write_result
    from tests.storage.example import by_document, small
    from tests.storage.maps import Maps, map_site

    maps_of = Maps.random(map_site(n_heads=2), [9, 4], [9, 4])
    path = tmp_path / "run.h5"
    small((9, 4), segments={"text": by_document([9, 4], 100)}, maps=(maps_of,)).record(path)
    with interp.open(path) as recording:
        scores = [
            {"head": f"a/attention:{head}", "metric": "induction", "value": value}
            for head, value in enumerate([0.25, None])
        ]
        write_result(recording, "heads", "scores", {}, {"scores": scores})
    client = create_app(open_sources([path])).server.test_client()
    assert ask(client, "run/attention_sites").json["stored"] == ["induction"]
    rows = ask(client, "run/heads_in_numbers?document=0").json["heads"]
    assert [row["all induction"] for row in rows] == [0.25, None]
    assert all(row["relative_entropy"] is not None for row in rows)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("heads/attention_map?site=h.2.attn/attention&head=0", 404, "h.1.attn/attention"),
        (f"heads/attention_map?site={LAYERS[0]}&head=2", 404, "2 heads"),
        (f"heads/attention_map?site={LAYERS[0]}&head=0&document=3", 404, "3 documents"),
        (f"heads/attention_map?site={LAYERS[0]}&head=x", 400, "whole number"),
        (f"heads/attention_map?site={LAYERS[0]}&head=0&n=2000", 400, "1 to 1024"),
        (f"heads/query_key?site={LAYERS[0]}&head=0&query=1", 404, "h.0.attn/query"),
        ("heads/image?document=0", 404, "no images"),
        ("heads/attention_layers?stream=image", 404, "No self-attention"),
        ("pairs/attention_map?site=encoder/attention&head=0&start=9", 400, "0 to 2"),
        ("pairs/heads?start:source=3", 400, "0 to 2"),
    ],
)
def test_what_cannot_be_answered_is_said(client, path, status, words):
    assert words in ask(client, path, status).json["error"]


def test_a_recording_answers_as_memory_does(tmp_path):
    from tests.storage.example import by_document, small
    from tests.storage.maps import Maps, map_site

    found = Maps.random(map_site(n_heads=2), [9, 4], [9, 4])
    path = tmp_path / "run.h5"
    small((9, 4), segments={"text": by_document([9, 4], 100)}, maps=(found,)).record(path)
    source = open_sources([path])[0]
    assert isinstance(source, AttentionSource) and isinstance(source, ImageSource)
    site = source.attention_sites["a/attention"]
    assert (site.n_heads, site.stream, site.key_stream, site.form) == (2, "text", "text", "full")
    expected = found.weights[0][1].astype(np.float16)
    np.testing.assert_array_equal(
        source.attention("a/attention", 0, 1, (2, 9), (1, 5)), expected[2:9, 1:5]
    )
    assert len(source.tokens("text", 1, (0, 3))) == 3
    assert source.head_vectors("a/attention", "query", 0, 0, (0, 2)) is None
    assert source.image_streams == []
    source.close()
