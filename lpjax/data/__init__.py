"""Image-classification data sets: preparation, loading, streaming, augmentation, normalization and corruption.

Read `directory` (what is prepared, and how a data set is written) and `png` first. Preparation: `archives` (with
`pickles`), `folders`, `downsample`, and the command `prepare`. Reading: `stored` (a TFDS directory), `sources` (a
name), `resident` (in memory), `crop`, `stream` and `workers` (read while training). Arithmetic on images: `augment`,
`corrupt` with the table of `effects`, and `corrupted` (test sets).
"""

from lpjax.command import extra

with extra("run"):
    from lpjax.data.archives import ARCHIVES, prepare_archive
    from lpjax.data.augment import PADS, augmenter, preprocessor
    from lpjax.data.corrupt import corrupt
    from lpjax.data.corrupted import Corruptions, corruptions
    from lpjax.data.crop import Crop
    from lpjax.data.directory import DataError, data_home, write_directory
    from lpjax.data.downsample import downsample, prepare_downsampled
    from lpjax.data.effects.table import BENCHMARK, EXTRA, SEVERITIES
    from lpjax.data.folders import prepare_folder
    from lpjax.data.png import encode_png
    from lpjax.data.resident import PUBLISHED, Dataset, channel_statistics, divide, load
    from lpjax.data.sources import open_image_splits
    from lpjax.data.stored import ImageSplit, read_labels
    from lpjax.data.stream import ImageLoader, LazyImages, decode, read_ahead

__all__ = [
    "ARCHIVES",
    "BENCHMARK",
    "EXTRA",
    "PADS",
    "PUBLISHED",
    "SEVERITIES",
    "Corruptions",
    "Crop",
    "DataError",
    "Dataset",
    "ImageLoader",
    "ImageSplit",
    "LazyImages",
    "augmenter",
    "channel_statistics",
    "corrupt",
    "corruptions",
    "data_home",
    "decode",
    "divide",
    "downsample",
    "encode_png",
    "load",
    "open_image_splits",
    "prepare_archive",
    "prepare_downsampled",
    "prepare_folder",
    "preprocessor",
    "read_ahead",
    "read_labels",
    "write_directory",
]
