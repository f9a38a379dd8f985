"""T9: the attention of a net that says words walks through their letters; untrained it does not."""

import pytest

import interp
from interp.models import zoo
from probes.heads.commands import alignment_of_recording

#: The cross-attention of each model, and the head that aligns.
SITES = {
    "g2p-gru": "decoder.attention/attention",
    "g2p-transformer": "**.cross_attention/attention",
}
HEADS = {
    "g2p-gru": "decoder.attention/attention:0",
    "g2p-transformer": "decoder.0.cross_attention/attention:0",
}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    lines = (zoo.folder("g2p-gru") / "test_words.tsv").read_text().splitlines()
    path = tmp_path_factory.mktemp("words") / "words.tsv"
    path.write_text("\n".join(lines[:200]) + "\n")
    return path


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("random_init", [False, True])
def test_attention_walks_through_the_letters(name, random_init, words, tmp_path):
    path = tmp_path / "run.h5"
    interp.record(f"zoo:{name}", words, path, sites=[SITES[name]], random_init=random_init)
    found = alignment_of_recording(path, n_resamples=20, save=False)
    if random_init:
        assert all(score["strict_documents"] < 0.2 for score in found.values())
    else:
        assert found[HEADS[name]]["strict_documents"] > 0.85
        assert found[HEADS[name]]["spearman"] > 0.98
        assert found[HEADS[name]]["diagonal"] < 1
