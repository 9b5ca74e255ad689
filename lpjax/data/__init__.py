"""Images and labels: where they come from, how they are prepared, loaded, augmented and normalised."""

from lpjax.data.archives import ARCHIVES, Archive, prepare_archive
from lpjax.data.augment import augmenter, preprocessor
from lpjax.data.directory import DataError, data_home, pinned_order, prepared, write_directory
from lpjax.data.folders import prepare_folder
from lpjax.data.pickles import read_pickle
from lpjax.data.png import decode_image, encode_png
from lpjax.data.resident import PUBLISHED, Dataset, load
from lpjax.data.sources import open_source
from lpjax.data.stored import Source, Split, open_directory

__all__ = [
    "ARCHIVES",
    "PUBLISHED",
    "Archive",
    "DataError",
    "Dataset",
    "Source",
    "Split",
    "augmenter",
    "data_home",
    "decode_image",
    "encode_png",
    "load",
    "open_directory",
    "open_source",
    "pinned_order",
    "prepare_archive",
    "prepare_folder",
    "prepared",
    "preprocessor",
    "read_pickle",
    "write_directory",
]
