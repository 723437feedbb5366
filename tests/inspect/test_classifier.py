import numpy as np
import pytest
import torch

from oneblock.data.errors import DataError
from oneblock.data.images import load_images
from oneblock.inspect.classifier import accuracy, classify, train_classifier

RNG = np.random.default_rng(0)


def bars(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images 13 × 11 of a bar that lies or stands or is not there, with noise."""
    labels = RNG.integers(0, 3, count)
    images = RNG.integers(0, 60, (count, 13, 11)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        place = RNG.integers(3, 8)
        if label == 1:
            image[place] = 220
        if label == 2:
            image[:, place] = 220
    return images, labels


def test_it_learns_bars_and_tells_them_in_new_images():
    images, labels = bars(300)
    state = torch.random.get_rng_state()
    model = train_classifier(images, labels, seed=1, epochs=25)
    assert (torch.random.get_rng_state() == state).all() and not model.training
    fresh, right = bars(211)
    assert accuracy(model, fresh, right) > 0.97
    assert accuracy(model, fresh, (right + 1) % 3) < 0.03
    assert classify(model, fresh).shape == (211,) and classify(model, fresh[:0]).shape == (0,)
    # Its answer is about the image alone.
    np.testing.assert_array_equal(classify(model, fresh)[:5], classify(model, fresh[:5]))


def test_a_seed_gives_the_same_classifier():
    images, labels = bars(120)
    first, again, other = (train_classifier(images, labels, seed, epochs=1) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_what_is_no_image_is_refused():
    images, labels = bars(10)
    for wrong in (images.astype(np.float32), images[0]):
        with pytest.raises(ValueError, match=r"images must be uint8 of shape N × H × W"):
            train_classifier(wrong, labels)
    with pytest.raises(ValueError, match=r"and labels \(9,\)"):
        train_classifier(images, labels[:9])
    with pytest.raises(ValueError, match="no images to learn from"):
        train_classifier(images[:0], labels[:0])


@pytest.mark.slow
def test_real_digits_are_told_nearly_always():
    try:
        digits = load_images("digits")
    except DataError as reason:
        pytest.skip(f"the digits cannot be had: {reason}")
    model = train_classifier(digits.train.images, digits.train.labels, seed=0)
    assert accuracy(model, digits.validation.images, digits.validation.labels) >= 0.97
