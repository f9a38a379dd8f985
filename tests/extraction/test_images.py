"""Images: patches with their rectangles, the image in the file, values of each image alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp
from interp.capture import list_sites
from interp.corpora import read_images
from interp.errors import CorpusError, InterpError
from interp.models import families, load
from interp.models.rectangles import patch_rectangles
from tests.extraction.conftest import make_model
from tests.huggingface import tiny


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return tiny.vit(tmp_path_factory.mktemp("models") / "vit")


def pictures(n=3, height=12, width=12):
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), np.uint8)


def test_a_vision_transformer_of_hugging_face(tmp_path, vit):
    images = pictures()
    sites = ["vit.encoder.layer.1/output", "**/attention", "classifier/output"]
    adapter = load(vit).adapter
    names = [name for name in list_sites(
        adapter.module, lambda: adapter.module(torch.zeros(1, 3, 12, 12))
    ) if name.endswith("/output") and name.count(".") == 2]  # fmt: skip
    sites[0] = [name for name in names if "1/output" in name][0]
    interp.record(vit, images, tmp_path / "run.h5", sites=sites, dtype="float32",
                  attention_dtype="float32", batch_size=2)  # fmt: skip
    with interp.open(tmp_path / "run.h5") as recording:
        stream = recording.streams["image"]
        assert stream.document_start.tolist() == [0, 10, 20, 30]
        assert recording.predictions is None
        for index, image in enumerate(images):
            assert (stream.image(index) == image).all()
            pixels = torch.from_numpy(adapter.encode(image)[0])[None]
            np.testing.assert_allclose(pixels[0], (image.transpose(2, 0, 1) / 255 - 0.5) / 0.5,
                                       atol=1e-6)  # fmt: skip
            with torch.no_grad(), interp.Recorder(adapter.module, sites=sites) as recorder:
                adapter.module(pixel_values=pixels)
            rows = slice(10 * index, 10 * index + 10)
            np.testing.assert_allclose(recording[sites[0]][rows], recorder[sites[0]][0], atol=2e-6)
            scores = recorder["classifier/output"][0]
            np.testing.assert_allclose(recording["classifier/output"][index], scores, atol=2e-6)
            for site in recording.attention_sites:
                found = recording.attention(site, index)
                np.testing.assert_allclose(found, recorder[site][0], atol=2e-6)
        rectangles = stream.documents[0].rectangles
        assert rectangles[0].tolist() == [0, 0, 0, 0]
        assert rectangles[1].tolist() == [0, 0, 4, 4]
        assert rectangles[2].tolist() == [4, 0, 8, 4]
        assert rectangles[9].tolist() == [8, 8, 12, 12]


def test_images_are_brought_to_the_size_and_colours_of_the_model(tmp_path, vit):
    grey = np.full((2, 30, 24), 100, np.uint8)
    interp.record(vit, grey, tmp_path / "run.h5", sites="classifier/output")
    with interp.open(tmp_path / "run.h5") as recording:
        shown = recording.streams["image"].image(1)
        assert shown.shape == (12, 12, 3) and (shown == 100).all()


def test_the_bundled_architecture_reads_digits(tmp_path):
    torch.manual_seed(0)
    adapter = families.build({"kind": "vision"})
    summary = interp.record(
        adapter, "digits:test", tmp_path / "run.h5", sites=["blocks.1/output", "**/attention"]
    )
    assert (summary.n_documents, summary.n_positions) == (450, 450 * 17)
    with interp.open(tmp_path / "run.h5") as recording:
        stream = recording.streams["image"]
        assert stream.image(7).shape == (8, 8)
        assert stream.rectangles[:3].tolist() == [[0, 0, 0, 0], [0, 0, 2, 2], [2, 0, 4, 2]]
        assert recording.attention("blocks.0.attention/attention", 3).shape == (4, 17, 17)


@pytest.mark.parametrize(
    "site", ["swin.embeddings/output", "swin.encoder.layers.0.blocks.1/output"]
)
def test_swin_is_recorded_at_its_finest_patches(tmp_path, tmp_path_factory, site):
    spec = tiny.swin(tmp_path_factory.mktemp("models") / "swin")
    interp.record(spec, pictures(2, 16, 16), tmp_path / "run.h5", sites=site, dtype="float32")
    with interp.open(tmp_path / "run.h5") as recording:
        assert recording[site].shape == (2 * 64, 8)
        assert recording.streams["image"].rectangles[9].tolist() == [2, 2, 4, 4]


def test_rectangles_tile_the_image():
    covered = np.zeros((6, 9), int)
    for left, top, right, bottom in patch_rectangles(6, 9, 2, 3):
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


class TestCorpora:
    def test_arrays_files_and_pictures_are_the_same(self, tmp_path):
        from PIL import Image

        images = pictures()
        np.save(tmp_path / "images.npy", images)
        np.savez(tmp_path / "images.npz", images=images, labels=np.arange(3))
        (tmp_path / "folder").mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / "folder" / f"{index}.png")
        (tmp_path / "folder" / "notes.txt").write_text("not a picture")
        found = [
            read_images(images),
            read_images({str(i): image for i, image in enumerate(images)}),
            read_images(tmp_path / "images.npy"),
            read_images([tmp_path / "images.npz"]),
            read_images(str(tmp_path / "folder")),
            read_images(images / 255.0),
        ]
        assert len({corpus.hash() for corpus in found}) == 1
        assert found[4].names == ("0.png", "1.png", "2.png")

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((3, 4)), "no row of images"),
            (np.full((1, 4, 4), 300), r"from 300 to 300; pixels are bytes"),
            (np.full((1, 4, 4), np.nan), "pixels are bytes"),
            (np.zeros((1, 4, 4, 7), np.uint8), "which is no image"),
        ],
    )
    def test_what_is_no_image_is_refused(self, array, message):
        with pytest.raises(CorpusError, match=message):
            read_images(array)

    def test_a_file_that_is_no_picture(self, tmp_path):
        (tmp_path / "a.png").write_text("hello")
        with pytest.raises(CorpusError, match="cannot be read as a picture"):
            read_images(tmp_path / "a.png")
        (tmp_path / "a.npy").write_text("hello")
        with pytest.raises(CorpusError, match="cannot be read as a NumPy array"):
            read_images(tmp_path / "a.npy")
        np.savez(tmp_path / "b.npz", x=np.zeros(3), y=np.zeros(3))
        with pytest.raises(CorpusError, match="holds x, y; the images must be called"):
            read_images(tmp_path / "b.npz")

    def test_a_part_of_the_digits_that_is_not_there(self):
        with pytest.raises(CorpusError, match="No part of the digits named 'tset'; nearest: test"):
            read_images("digits:tset")

    def test_text_is_no_image_and_images_are_no_text(self, tmp_path, vit):
        with pytest.raises(CorpusError, match="looks at images; the corpus is text"):
            interp.record(vit, {"a": "b"}, tmp_path / "run.h5", sites="classifier/output")
        with pytest.raises(CorpusError, match="reads texts.*of images"):
            interp.record(make_model(), pictures(), tmp_path / "run.h5")
        with pytest.raises(InterpError, match="--window and --stride are for texts"):
            interp.record(vit, pictures(), tmp_path / "run.h5", window=3)
