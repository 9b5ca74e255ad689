"""Image-classification data sets: preparation, loading, streaming, augmentation, normalization and corruption."""

from lpjax.command import extra

with extra("run"):
    from lpjax.data.archives import ARCHIVES, Archive, prepare_archive
    from lpjax.data.augment import PADS, augmenter, preprocessor
    from lpjax.data.corrupt import corrupt
    from lpjax.data.corrupted import Corruptions, corruptions
    from lpjax.data.crop import Crop
    from lpjax.data.directory import DataError, data_home, pinned_order, prepared, write_directory
    from lpjax.data.effects.table import BENCHMARK, EXTRA, SEVERITIES
    from lpjax.data.folders import prepare_folder
    from lpjax.data.image_split import ImageSplit, open_image_splits, read_labels
    from lpjax.data.pickles import read_pickle
    from lpjax.data.png import decode_image, encode_png
    from lpjax.data.resident import PUBLISHED, Dataset, channel_statistics, divide, load
    from lpjax.data.sources import open_source
    from lpjax.data.stored import Source, Split, open_directory, open_split
    from lpjax.data.stream import ImageLoader, LazyImages, decode, read_ahead

__all__ = [
    "ARCHIVES",
    "BENCHMARK",
    "EXTRA",
    "PADS",
    "PUBLISHED",
    "SEVERITIES",
    "Archive",
    "Corruptions",
    "Crop",
    "DataError",
    "Dataset",
    "ImageLoader",
    "ImageSplit",
    "LazyImages",
    "Source",
    "Split",
    "augmenter",
    "channel_statistics",
    "corrupt",
    "corruptions",
    "data_home",
    "decode",
    "decode_image",
    "divide",
    "encode_png",
    "load",
    "open_directory",
    "open_image_splits",
    "open_source",
    "open_split",
    "pinned_order",
    "prepare_archive",
    "prepare_folder",
    "prepared",
    "preprocessor",
    "read_ahead",
    "read_labels",
    "read_pickle",
    "write_directory",
]
