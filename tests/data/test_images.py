import gzip
import io

import numpy as np
import pytest

from oneblock.data import images as images_file
from oneblock.data.batches import sample_rows
from oneblock.data.errors import DataError
from oneblock.data.files import read_bytes
from oneblock.data.idx import read_idx
from oneblock.data.images import DIGITS, FASHION_FOLDER, hash_ranks, load_images, parse_csv, sample_images

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (300, 5, 7)).astype(np.uint8)
LABELS = RNG.permutation(np.repeat(np.arange(3), 100)).astype(np.uint8)


def idx(array) -> bytes:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


def put_tests(folder, images=IMAGES[:11], labels=LABELS[:11]):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / "t10k-labels.idx1-ubyte").write_bytes(idx(labels))


def test_a_folder_is_split_by_hash_within_each_class(folder):
    made = load_images(str(folder))
    assert made.name == folder.name and str(folder) in made.origin and made.classes == ("0", "1", "2")
    for name, share in (("train", 85), ("selection", 5), ("validation", 10)):
        split = made.splits[name]
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        assert split.images.shape[1:] == (5, 7) and not split.images.flags.writeable
        assert np.bincount(split.labels).tolist() == [share] * 3 and len(split) == 3 * share
    together = np.concatenate([split.images for split in made.splits.values()]).reshape(300, -1)
    assert sorted(map(bytes, together)) == sorted(map(bytes, IMAGES.reshape(300, -1)))
    of_label = {bytes(image): label for image, label in zip(IMAGES.reshape(300, -1), LABELS, strict=True)}
    for split in made.splits.values():
        for image, label in zip(split.images, split.labels, strict=True):
            assert of_label[image.tobytes()] == label


def test_the_order_of_the_files_does_not_matter(folder):
    first = load_images(str(folder))
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[::-1]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[::-1]))
    again = load_images(str(folder))
    for name, split in first.splits.items():
        assert {image.tobytes() for image in split.images} == {image.tobytes() for image in again.splits[name].images}
    assert first.sha256 != again.sha256


def test_test_files_are_the_validation_split(folder):
    put_tests(folder)
    made = load_images(str(folder))
    np.testing.assert_array_equal(made.validation.images, IMAGES[:11])
    np.testing.assert_array_equal(made.validation.labels, LABELS[:11])
    assert (len(made.train), len(made.selection)) == (285, 15)


def test_fashion_is_found_in_the_setting_or_on_the_system(folder, tmp_path_factory, monkeypatch):
    put_tests(folder)
    nothing = tmp_path_factory.mktemp("nothing")
    monkeypatch.setattr(images_file, "FASHION_FOLDER", nothing / "gone")
    monkeypatch.setenv("ONEBLOCK_DATA", str(folder))
    made = load_images("fashion")
    assert made.name == "fashion" and made.classes[9] == "ankle boot" and len(made.classes) == 10
    (nothing / "fashion-mnist").symlink_to(folder)
    monkeypatch.setenv("ONEBLOCK_DATA", str(nothing))
    assert load_images("fashion").sha256 == made.sha256
    (nothing / "fashion-mnist").unlink()
    with pytest.raises(DataError, match=r"(?s)1\. \$ONEBLOCK_DATA: .* 2\. the system: no .*dataset-fashion-mnist"):
        load_images("fashion")
    monkeypatch.delenv("ONEBLOCK_DATA")
    with pytest.raises(DataError, match=r"1\. \$ONEBLOCK_DATA: not set"):
        load_images("fashion")
    monkeypatch.setattr(images_file, "FASHION_FOLDER", folder)
    assert load_images("fashion").sha256 == made.sha256


def test_a_label_that_is_no_class_is_refused(folder, monkeypatch):
    put_tests(folder, labels=np.full(11, 10, np.uint8))
    monkeypatch.setenv("ONEBLOCK_DATA", str(folder))
    with pytest.raises(DataError, match="label 10; it has 10 classes, 0…9"):
        load_images("fashion")


def test_sides_must_agree_and_counts_must(folder):
    put_tests(folder, images=IMAGES[:11, :, :6])
    with pytest.raises(DataError, match="train images are 5 × 7 and the t10k images 5 × 6"):
        load_images(str(folder))
    put_tests(folder, labels=LABELS[:12])
    with pytest.raises(DataError, match="11 t10k images and 12 labels"):
        load_images(str(folder))
    (folder / "t10k-labels.idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"has no t10k-labels-idx1-ubyte \(or \.gz\)"):
        load_images(str(folder))


def test_too_few_images_and_wrong_paths_are_refused(folder, tmp_path):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[:2]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1], np.uint8)))
    with pytest.raises(DataError, match="too few images: of 2, none falls into"):
        load_images(str(folder))
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="has no train-images-idx3-ubyte"):
        load_images(str(folder))
    for source, what in (
        (str(tmp_path / "gone"), "is no folder"),
        (str(folder / "train-labels-idx1-ubyte"), "is a file"),
    ):
        with pytest.raises(DataError, match=f"it {what}. Allowed: digits, fashion, or a folder of IDX files"):
            load_images(source)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (b"hello", "begins with 68 65 6c 6c"),
        (idx(LABELS), "1 dimensions; wanted are unsigned bytes .* with 3 .images.*Check that files are not swapped"),
        (b"\0\0\x0d\x03" + bytes(12), "kind 0x0d"),
        (idx(IMAGES)[:-1], "says 300 × 5 × 7, which takes 10516 bytes, and has 10515"),
        (idx(IMAGES) + b"!", "and has 10517"),
        (b"\0\0\x08\x03\0\0", "Copy it again"),
        (gzip.compress(idx(IMAGES))[:-9], "is damaged: gzip says"),
        (b"\x1f\x8b" + b"x" * 30, "is damaged: gzip says"),
    ],
)
def test_a_bad_file_is_refused(raw, words):
    with pytest.raises(DataError, match=words):
        read_idx(raw, "it", 3)


def test_batches_are_a_function_of_seed_and_step(folder):
    split = load_images(str(folder)).train
    images, labels = sample_images(split, seed=5, step=3, batch_size=6)
    rows = sample_rows(len(split), seed=5, step=3, batch_size=6)
    np.testing.assert_array_equal(images, split.images[rows])
    np.testing.assert_array_equal(labels, split.labels[rows])
    parts = [sample_images(split, seed=5, step=3, batch_size=6, rank=rank, world=3) for rank in range(3)]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), images)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), labels)


def csv(images, labels) -> bytes:
    file = io.BytesIO()
    np.savetxt(file, np.column_stack([images.reshape(len(images), -1), labels]), fmt="%d", delimiter=",")
    return file.getvalue()


def test_the_csv_is_rows_first_and_the_label_last():
    square = IMAGES[:9, :, :5]
    for raw in (csv(square, LABELS[:9]), gzip.compress(csv(square, LABELS[:9]))):
        images, labels = parse_csv(raw, "it", 5)
        np.testing.assert_array_equal(images, square)
        np.testing.assert_array_equal(labels, LABELS[:9])
        assert images.dtype == np.uint8 and labels.dtype == np.int64


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"1,2,3,4,0\n1,2,3,4\n", "it, line 2: 4 numbers; 5 are a pixel each and a label"),
        (b"1,2,3,x,0\n", "no whole number"),
        (b"1,2,3,256,0\n", r"holds 0…256"),
        (b"1,2,-3,4,0\n", r"holds -3…4"),
    ],
)
def test_a_bad_csv_is_refused(raw, words):
    with pytest.raises(DataError, match=words):
        parse_csv(raw, "it", 2)


@pytest.mark.parametrize("share", [0, 0.5, -0.1])
@pytest.mark.parametrize("name", ["validation_share", "selection_share"])
def test_a_share_is_a_share(name, share):
    with pytest.raises(DataError, match=f"{name}={share} "):
        load_images("digits", **{name: share})


def test_the_ranks_are_what_they_were():
    # The same split in every version: this must not move.
    images = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    ranks, sizes = hash_ranks(images, np.array([0, 1] * 5))
    assert sizes.tolist() == [5] * 10
    assert ranks.tolist() == FROZEN


FROZEN = [4, 3, 3, 0, 1, 1, 2, 2, 0, 4]


def test_the_real_fashion():
    if not FASHION_FOLDER.is_dir():
        pytest.skip(f"{FASHION_FOLDER} is not there (the Debian package dataset-fashion-mnist)")
    made = images_file._idx_set("fashion", FASHION_FOLDER, (0.1, 0.05), images_file.FASHION)
    assert made.sha256 == "362ba1f5424f406d0db9c78b0e83db011b09c121c5c5f94ee5c077628f9adb5c"
    assert [len(split) for split in made.splits.values()] == [57_000, 3_000, 10_000]
    assert np.bincount(made.validation.labels).tolist() == [1000] * 10


def test_the_real_digits(real):
    images, labels = parse_csv(read_bytes(real(DIGITS)), "it", 28)
    assert images.shape == (5000, 28, 28) and np.bincount(labels).tolist() == [500] * 10
    assert images.max() == 255 and (images == 0).mean() > 0.7
    # Ink lies in the middle of an image that is read rows first.
    assert images[:, 8:20, 8:20].mean() > 5 * images[:, :, :4].mean()
    made = load_images("digits")
    assert [len(split) for split in made.splits.values()] == [4250, 250, 500]
    assert np.bincount(made.validation.labels).tolist() == [50] * 10
