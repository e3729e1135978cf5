"""Data sets of small images that come as four IDX files, like MNIST."""

import os
from dataclasses import dataclass

import numpy as np

from bsnn.errors import DataError

from .download import download
from .idx import read_idx

IMAGE_SHAPE = (28, 28)


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """The four IDX files of a data set of images like MNIST's.

    Parameters
    ----------
    title : str
    folder : str
        Their folder inside the data folder.
    parts : tuple of two str
        What the names of the train and the test files begin with.
    n_classes : int or None
        None: as many as the labels say.
    source : str
        Where a person gets the files.
    url : str, optional
        Where each file, with .gz, can be downloaded.
    sha256 : tuple of four str
        For downloads, the checksums of the unpacked files in the order of `names`.
        Files that users place themselves may hold something else.
    transposed : bool
        Whether the files hold images with rows and columns exchanged.
    torchvision : str, optional
        The folder's name in what torchvision downloads.
    shape : tuple of int or None
        Height and width of an image; None: any.
    """

    title: str
    folder: str
    parts: tuple[str, str]
    n_classes: int | None
    source: str
    url: str | None = None
    sha256: tuple[str, ...] = ()
    transposed: bool = False
    torchvision: str | None = None
    shape: tuple[int | None, int | None] = IMAGE_SHAPE

    @property
    def names(self):
        """Train images and labels, test images and labels, without .gz."""
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        return tuple(f"{part}-{kind}" for part in self.parts for kind in kinds)

    def find(self, data_dir):
        """Return the path of each file below `data_dir`; None where there is none.

        Files named as in ``train-images.idx3-ubyte``, and those that torchvision
        unpacked, are found, too; all four come from one folder.
        """
        folders = [data_dir / self.folder]
        if self.torchvision:
            folders.append(data_dir / self.torchvision / "raw")
        found = [self._find_in(folder) for folder in folders]
        return next(filter(all, found), found[0])

    def _find_in(self, folder):
        found = []
        for name in self.names:
            dotted = name.replace("-idx", ".idx")
            ends = (f"{name}.gz", name, f"{dotted}.gz", dotted)
            choices = [folder / end for end in ends]
            # Unlike Path.exists, os.path.exists is False, no error, in a locked folder.
            found.append(next(filter(os.path.exists, choices), None))
        return found


IMAGE_SETS = {
    "mnist": ImageFiles(
        title="MNIST",
        folder="mnist",
        torchvision="MNIST",
        parts=("train", "t10k"),
        n_classes=10,
        source="https://storage.googleapis.com/cvdf-datasets/mnist/",
        url="https://storage.googleapis.com/cvdf-datasets/mnist/",
        sha256=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion-mnist": ImageFiles(
        title="Fashion-MNIST",
        folder="fashion-mnist",
        torchvision="FashionMNIST",
        parts=("train", "t10k"),
        n_classes=10,
        source="https://github.com/zalandoresearch/fashion-mnist",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        sha256=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    # EMNIST comes as one archive without a published checksum: it is not downloaded.
    "emnist": ImageFiles(
        title="EMNIST balanced",
        folder="emnist",
        torchvision="EMNIST",
        parts=("emnist-balanced-train", "emnist-balanced-test"),
        n_classes=47,
        source="the archive gzip.zip of "
        "https://www.nist.gov/itl/products-and-services/emnist-dataset",
        transposed=True,
    ),
    "emnist-47class-subset": ImageFiles(
        title="47-class EMNIST subset",
        folder="emnist",
        parts=("emnist-47class-subset-train", "emnist-47class-subset-test"),
        n_classes=47,
        source="your copy of the subset (the official files are 'emnist')",
        transposed=True,
    ),
}


def own_files(name):
    """Return the files of a data set of one's own: a folder laid out as MNIST's."""
    return ImageFiles(
        title=name,
        folder=name,
        parts=IMAGE_SETS["mnist"].parts,
        n_classes=None,
        source="where you wrote them",
        shape=(None, None),
    )


def read_splits(files, data_dir, *, fetch):
    """Return the images and labels in `files` below `data_dir`.

    Parameters
    ----------
    files : ImageFiles
    data_dir : Path
    fetch : bool
        Whether to download what is missing there.

    Returns
    -------
    splits : dict of str to ndarray
        train_images and test_images, shape (n_samples, height, width), uint8, upright;
        train_labels and test_labels, shape (n_samples,), int64.

    Raises
    ------
    DataError
        If files are missing, damaged or do not fit together.
    """
    paths = locate(files, data_dir, fetch=fetch)
    train_images, train_labels = _read_split(*paths[:2], files)
    test_images, test_labels = _read_split(*paths[2:], files)
    if test_images.shape[1:] != train_images.shape[1:]:
        raise DataError(
            f"{paths[0]} and {paths[2]} must hold images of one size, got "
            f"{train_images.shape[1:]} and {test_images.shape[1:]}."
        )
    return {
        "train_images": train_images,
        "train_labels": train_labels,
        "test_images": test_images,
        "test_labels": test_labels,
    }


def locate(files, data_dir, *, fetch):
    """Return the paths of the four files, downloading what is missing if `fetch`.

    Raises
    ------
    DataError
        If a file is missing, or cannot be downloaded.
    """
    folder = data_dir / files.folder
    paths = files.find(data_dir)
    missing = [i for i, path in enumerate(paths) if path is None]
    if missing and not (fetch and files.url):
        or_download = ", or name no data folder to have them downloaded"
        raise DataError(
            f"{files.title} needs {', '.join(files.names[i] for i in missing)} (with "
            f"or without .gz) in {folder}, and they are not there; get them from "
            f"{files.source}{or_download if files.url else ''}."
        )
    for i in missing:
        file_name = f"{files.names[i]}.gz"
        download(files.url + file_name, folder / file_name, files.sha256[i])
        paths[i] = folder / file_name
    return paths


def _read_split(image_path, label_path, files):
    labels = read_idx(label_path)
    images = read_idx(image_path, files.shape)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} and {label_path} must have as many images as labels, got "
            f"{len(images)} and {len(labels)}; take both from one source."
        )
    if files.n_classes is not None and labels.max() >= files.n_classes:
        raise DataError(
            f"{label_path} must hold labels in 0..{files.n_classes - 1} for "
            f"{files.title}, got {labels.max()}; put the right file there."
        )
    if files.transposed:
        images = np.ascontiguousarray(images.swapaxes(1, 2))
    return images, labels.astype(np.int64)
