"""Images of a recording: back as they were, one at a time; what is no image is refused."""

import numpy as np
import pytest

from interp.errors import StorageError
from interp.storage import StreamPlan, open_recording
from tests.storage.example import small, stream


def patches():
    return stream([9, 4, 1, 12], kind="patches")


def test_images_and_rectangles_come_back(tmp_path):
    plan = patches()
    path = small(streams=[plan]).record(tmp_path / "run.h5")
    with open_recording(path) as recording:
        found = recording.streams["text"]
        assert "patches of images" in repr(found) and found.tokens is None
        for index, image in enumerate(plan.images):
            assert (found.image(index) == image).all()
            assert found.documents[index].image.shape == image.shape
        assert (found.rectangles == plan.rectangles).all()
        assert (found.documents[3].rectangles == plan.rectangles[-12:]).all()
        assert recording.verify().damages == ()


@pytest.mark.parametrize(
    ("images", "rectangles", "message"),
    [
        ([np.zeros((2, 2))], None, "image 0 is float64"),
        ([np.zeros((2, 2, 4), np.uint8)], None, r"shape \(2, 2, 4\)"),
        ([], None, "0 images, expected 1"),
        (None, np.zeros((3, 4)), "whole numbers"),
        (None, np.array([[2, 0, 1, 1]] * 3), "left at most right"),
        (None, np.zeros((2, 4), int), "2 rectangles, expected 3"),
    ],
)
def test_what_is_none_is_refused(images, rectangles, message):
    with pytest.raises(StorageError, match=message):
        StreamPlan("image", ["a"], [0, 3], images=images, rectangles=rectangles)
