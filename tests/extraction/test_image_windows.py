"""Windowed attention over images (Swin): rows and keys are patches, whatever the windows' order."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import interp
from interp.errors import InterpError
from interp.models import load
from interp.models.rectangles import grid_shape, merged_rectangles, patch_rectangles
from tests.huggingface import tiny


def pictures(n=3, size=16):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def patches_of_windows(side, window, shift):
    """By hand: numbers of the patches, rolled and cut as Liu et al. (2021) have it."""
    image = np.roll(np.arange(side * side).reshape(side, side), (-shift, -shift), (0, 1))
    n = side // window
    return image.reshape(n, window, n, window).transpose(0, 2, 1, 3).reshape(n * n, -1)


def on_patches(maps, patches):
    """Lay maps (windows, heads, n, n) of one image out over its patches."""
    out = np.zeros((maps.shape[1], patches.size, patches.size), np.float32)
    for window, at in zip(maps, patches, strict=True):
        out[:, at[:, None], at[None]] = window
    return out


def in_sight(patch, patches, side, shift):
    """By hand: the patches of a patch's window; over the edge of the image none are seen."""
    mine = next(at for at in patches if patch in at)
    row, column = (mine < shift * side), (mine % side < shift)
    same = (row == (patch < shift * side)) & (column == (patch % side < shift))
    return sorted(mine[same].tolist())


@pytest.fixture(scope="module")
def swin(tmp_path_factory):
    return tiny.swin(tmp_path_factory.mktemp("models") / "swin")


SITES = ["**/attention", "**/query", "swin.encoder.layers.*.blocks.*/output"]
OPTIONS = {"dtype": "float32", "attention_dtype": "float32", "batch_size": 2}


@pytest.fixture(scope="module")
def recorded(swin, tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "run.h5"
    interp.record(swin, pictures(), path, sites=SITES, **OPTIONS)
    with interp.open(path) as recording:
        yield recording


def test_every_stage_of_swin_is_on_its_own_grid(swin, recorded):
    assert recorded.verify().ok
    adapter = load(swin).adapter
    image = pictures()[2]
    pixels = torch.from_numpy(adapter.encode(image)[0])[None]
    with torch.no_grad(), interp.Recorder(adapter.module, sites=SITES) as recorder:
        adapter.module(pixel_values=pixels)
    for stage, (stream, side) in enumerate((("image", 8), ("image_4x4", 4))):
        for block in range(2):
            name = f"swin.encoder.layers.{stage}.blocks.{block}"
            site = recorded.attention_sites[f"{name}.attention/attention"]
            assert (site.stream, site.key_stream, site.keys) == (stream, stream, "windows:4")
            patches = patches_of_windows(side, 2, block)
            maps = recorder[f"{name}.attention/attention"].numpy()
            expected = on_patches(maps, patches)
            np.testing.assert_allclose(recorded.attention(site.name, 2), expected, atol=1e-6)
            some = recorded.attention(site.name, 2, 1, rows=(3, 9), keys=(2, 11))
            np.testing.assert_allclose(some, expected[1, 3:9, 2:11], atol=1e-6)
            starts, keys, weights = recorded.attention_edges(site.name, 2, 1)
            order, ranges = recorded.key_order(site.name, 2), recorded.key_range(site.name, 2)
            for patch in range(side * side):
                mine = in_sight(patch, patches, side, block)
                assert order[slice(*ranges[patch])].tolist() == mine
                row = slice(*starts[patch : patch + 2])
                assert keys[row].tolist() == mine
                np.testing.assert_allclose(weights[row], expected[1, patch, mine], atol=1e-6)
            assert order[0] == 0  # so that the weight on the first key is that on the first patch
            output = recorded[f"{name}/output"]
            assert recorded.sites[f"{name}/output"].stream == stream
            np.testing.assert_allclose(
                output[2 * side * side :], recorder[f"{name}/output"][0], atol=1e-5
            )
            # Queries come window by window too: (windows, heads, 4, width).
            query = recorder[f"{name}.attention/query"].transpose(1, 2).flatten(2).numpy()
            expected = np.zeros((side * side, query.shape[-1]), np.float32)
            expected[patches.reshape(-1)] = query.reshape(side * side, -1)
            found = recorded[f"{name}.attention/query"][2 * side * side :]
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_each_grid_has_its_rectangles_and_shares_the_image(recorded):
    fine, coarse = recorded.streams["image"], recorded.streams["image_4x4"]
    assert fine.documents[1].rectangles[9].tolist() == [2, 2, 4, 4]
    assert coarse.documents[1].rectangles[:2].tolist() == [[0, 0, 4, 4], [4, 0, 8, 4]]
    assert coarse.documents[2].rectangles[15].tolist() == [12, 12, 16, 16]
    assert list(recorded.streams) == ["image", "image_4x4"]  # of two stages, no third grid
    for stream in (fine, coarse):
        assert (stream.image(2) == pictures()[2]).all()
    with h5py.File(recorded.path) as file:
        streams = file["streams"]
        assert streams["image/image"] == streams["image_4x4/image"]


@pytest.mark.parametrize("form", ["top-p:0.7", "stats"])
def test_other_forms_name_patches_too(swin, recorded, tmp_path, form):
    interp.record(
        swin, pictures(), tmp_path / "a.h5", sites="**/attention", attention=form, **OPTIONS
    )
    with interp.open(tmp_path / "a.h5") as found:
        assert found.verify().ok
        for name in found.attention_sites:
            full = recorded.attention(name, 1)
            rows = slice(full.shape[1], 2 * full.shape[1])
            statistics = {n: v[rows] for n, v in found.attention_statistics(name).items()}
            np.testing.assert_allclose(statistics["maximum"], full.max(-1).T, atol=1e-6)
            entropy = -(full * np.log(np.where(full > 0, full, 1))).sum(-1)
            np.testing.assert_allclose(statistics["entropy"], entropy.T, atol=1e-5)
            assert "previous_mass" not in statistics and "mean_distance" not in statistics
            if form == "stats":
                continue
            kept = found.attention(name, 1)
            np.testing.assert_allclose(kept[kept > 0], full[kept > 0], atol=1e-6)
            assert (kept.sum(-1) > 0.699).all() and (kept > 0).sum() < (full > 0).sum()


def test_whole_windows_have_room_if_asked_for(swin, recorded, tmp_path):
    interp.record(
        swin, pictures(), tmp_path / "a.h5", sites="**/attention", attention_keys="all", **OPTIONS
    )
    with interp.open(tmp_path / "a.h5") as found:
        for name in found.attention_sites:
            assert (np.diff(found.key_range(name, 0)) == 4).all()
            maps = recorded.attention(name, 1)
            np.testing.assert_allclose(found.attention(name, 1), maps, atol=1e-6)


def test_a_layer_that_comes_in_blocks_of_queries_is_the_same(swin, recorded, tmp_path, monkeypatch):
    monkeypatch.setattr("interp.capture.attention_weights.BLOCK_BYTES", 2**7)
    interp.record(swin, pictures(), tmp_path / "a.h5", sites=SITES, **OPTIONS)
    with interp.open(tmp_path / "a.h5") as found:
        for name in recorded.attention_sites:
            maps = recorded.attention(name, 2)
            np.testing.assert_allclose(found.attention(name, 2), maps, atol=1e-6)


class Inside(nn.Module):
    """Attention that cuts (batch, height, width, channels) into shifted windows by itself."""

    def __init__(self, window, shift):
        super().__init__()
        self.window, self.shift, self.qkv = window, shift, nn.Linear(8, 24)

    def forward(self, x):
        batch, height, width, _ = x.shape
        n, side = height // self.window, self.window
        moved = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        parts = moved.view(batch, n, side, n, side, 8).transpose(2, 3).reshape(-1, side * side, 8)
        query, key, value = (
            part.view(-1, side * side, 2, 4).transpose(1, 2)
            for part in self.qkv(parts).chunk(3, -1)
        )
        mixed = torch.softmax(query @ key.transpose(-2, -1) / 2, -1) @ value
        mixed = mixed.transpose(1, 2).reshape(batch, n, n, side, side, 8).transpose(2, 3)
        return x + torch.roll(mixed.reshape(x.shape), (self.shift, self.shift), (1, 2))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, 2)
        self.first, self.second = Inside(2, 1), Inside(3, 1)
        self.merge = nn.Conv2d(8, 8, 2, 2)
        self.third = Inside(3, 0)

    def forward(self, pixels):
        x = self.second(self.first(self.patches(pixels).permute(0, 2, 3, 1)))
        return self.third(self.merge(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class OwnAdapter:
    streams, vocabulary, predicts, carries_state = ("image",), [], "same", False

    def __init__(self, coarser=True):
        torch.manual_seed(0)
        self.module = Own().eval()
        self.rectangles = patch_rectangles(24, 24, 2, 2)
        if coarser:
            self.coarser = [merged_rectangles(self.rectangles)]

    def encode(self, image):
        return image.transpose(2, 0, 1).astype(np.float32) / 255, self.rectangles

    def show(self, image):
        return image

    def decode(self, ids):
        return []

    def forward(self, ids, lengths, state):
        return self.module(ids), None


def test_a_model_of_ones_own_that_cuts_inside_its_attention(tmp_path):
    adapter, images = OwnAdapter(), pictures(2, 24)
    interp.record(adapter, images, tmp_path / "a.h5", sites="**/attention", **OPTIONS)
    pixels = torch.from_numpy(np.stack([adapter.encode(image)[0] for image in images]))
    with torch.no_grad(), interp.Recorder(adapter.module, sites="**/attention") as recorder:
        adapter.module(pixels)
    with interp.open(tmp_path / "a.h5") as found:
        for name, stream, side, window, shift in (
            ("first", "image", 12, 2, 1),
            ("second", "image", 12, 3, 1),
            ("third", "image_6x6", 6, 3, 0),
        ):
            site = found.attention_sites[f"{name}/attention"]
            assert (site.stream, site.keys) == (stream, f"windows:{window * window}")
            maps = recorder[site.name].numpy()
            expected = on_patches(np.split(maps, 2)[1], patches_of_windows(side, window, shift))
            np.testing.assert_allclose(found.attention(site.name, 1), expected, atol=1e-6)


class ChannelsFirst(nn.Module):
    """The same with (batch, channels, height, width), as wide as it has channels."""

    def __init__(self):
        super().__init__()
        self.inner = Inside(2, 1)

    def forward(self, x):
        return self.inner.forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Blurred(nn.Module):
    """Attention within windows of patches that know of their neighbours."""

    def __init__(self):
        super().__init__()
        self.mix, self.inner = nn.Conv2d(8, 8, 3, padding=1), Inside(2, 0)

    def forward(self, x):
        return self.inner.forward(self.mix(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_channels_may_come_first_and_patches_must_stand_alone(tmp_path):
    adapter, images = OwnAdapter(False), pictures(2, 16)
    adapter.rectangles = patch_rectangles(16, 16, 2, 2)
    adapter.module = nn.Sequential(nn.Conv2d(3, 8, 2, 2), ChannelsFirst(), Blurred()).eval()
    with pytest.raises(InterpError, match="its places hold no single patches"):
        interp.record(adapter, images, tmp_path / "a.h5", sites="2/attention", **OPTIONS)
    interp.record(adapter, images, tmp_path / "a.h5", sites="*/attention", **OPTIONS)
    pixels = torch.from_numpy(np.stack([adapter.encode(image)[0] for image in images]))
    with torch.no_grad(), interp.Recorder(adapter.module, sites="1/attention") as recorder:
        adapter.module(pixels)
    with interp.open(tmp_path / "a.h5") as found:
        assert list(found.attention_sites) == ["1/attention"]
        maps = np.split(recorder["1/attention"].numpy(), 2)[1]
        expected = on_patches(maps, patches_of_windows(8, 2, 1))
        np.testing.assert_allclose(found.attention("1/attention", 1), expected, atol=1e-6)


def test_grids_that_nobody_named_are_refused(tmp_path):
    with pytest.raises(InterpError, match=r"Site third/attention .* the adapter's `coarser` says"):
        interp.record(
            OwnAdapter(False), pictures(2, 24), tmp_path / "a.h5", sites="third/attention"
        )
    interp.record(OwnAdapter(False), pictures(2, 24), tmp_path / "b.h5", sites="**/attention")
    with interp.open(tmp_path / "b.h5") as found:
        assert list(found.attention_sites) == ["first/attention", "second/attention"]
    adapter = OwnAdapter()
    adapter.coarser = [adapter.rectangles[::-1]]
    with pytest.raises(InterpError, match="do not lie row by row on a grid"):
        interp.record(adapter, pictures(2, 24), tmp_path / "c.h5", sites="**/attention")


def test_windows_that_the_image_does_not_fill_are_refused(tmp_path, tmp_path_factory):
    spec = tiny.swin(tmp_path_factory.mktemp("models") / "swin", image_size=12)
    site = "swin.encoder.layers.1.blocks.0.attention/attention"
    with pytest.raises(InterpError, match=r"4 windows of 4 have other places than the 9 patches"):
        interp.record(spec, pictures(2, 12), tmp_path / "a.h5", sites=site)
    interp.record(spec, pictures(2, 12), tmp_path / "b.h5", sites=["**/attention", "**.mlp/output"])
    with interp.open(tmp_path / "b.h5") as found:
        assert {site.stream for site in found.attention_sites.values()} == {"image"}
        assert len(found.attention_sites) == 2
        assert found["swin.encoder.layers.1.blocks.0.mlp/output"].shape == (2 * 9, 16)
        assert found.streams["image_3x3"].rectangles[8].tolist() == [8, 8, 12, 12]


def test_merged_patches_cover_the_image_once():
    fine = patch_rectangles(15, 21, 3, 3)
    assert grid_shape(fine) == (5, 7) and grid_shape(fine[::-1]) is None
    for factor, shape in ((2, (3, 4)), (3, (2, 3))):
        coarse = merged_rectangles(fine, factor)
        assert grid_shape(coarse) == shape
        covered = np.zeros((15, 21), int)
        for left, top, right, bottom in coarse:
            covered[top:bottom, left:right] += 1
        assert (covered == 1).all()


def test_heads_are_measured_over_the_keys_of_their_window(recorded):
    from probes.heads.reading import layer_maps
    from probes.heads.recorded import RecordedMaps
    from probes.heads.rollout import attention_rollout

    name = "swin.encoder.layers.1.blocks.1.attention/attention"
    site = next(site for site in RecordedMaps(recorded).sites() if site.name == name)
    (block,) = site.blocks(1)
    # Shifted by one of four: corner, edges and inside of the image see 1, 2 and 4 keys.
    assert np.bincount(block.visible.n_visible).tolist() == [0, 4, 4 + 4, 0, 4]
    assert not block.visible.same_stream
    full = recorded.attention(name, 1, 2)
    for row, at in enumerate(np.split(block.weights(2), block.visible.row_start[1:-1])):
        np.testing.assert_allclose(sorted(at), sorted(full[row][full[row] > 1e-9]), atol=1e-7)
    coarse = [n for n, s in recorded.attention_sites.items() if s.stream == "image_4x4"]
    flow = attention_rollout(list(layer_maps(recorded, 1, coarse).values()))
    assert np.allclose(flow[-1].sum(-1), 1, atol=1e-5)
