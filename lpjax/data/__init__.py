"""Images and labels: where they come from, how they are prepared, loaded, augmented and normalised."""

from lpjax.data.archives import ARCHIVES, Archive, prepare_archive
from lpjax.data.augment import PADS, augmenter, preprocessor
from lpjax.data.corrupt import corrupt
from lpjax.data.corrupted import Corruptions, corruptions
from lpjax.data.directory import DataError, data_home, pinned_order, prepared, write_directory
from lpjax.data.effects.table import BENCHMARK, EXTRA, SEVERITIES
from lpjax.data.folders import prepare_folder
from lpjax.data.pickles import read_pickle
from lpjax.data.png import decode_image, encode_png
from lpjax.data.resident import PUBLISHED, Dataset, load
from lpjax.data.sources import open_source
from lpjax.data.stored import Source, Split, open_directory, open_split

__all__ = [
    "ARCHIVES",
    "BENCHMARK",
    "EXTRA",
    "PADS",
    "PUBLISHED",
    "SEVERITIES",
    "Archive",
    "Corruptions",
    "DataError",
    "Dataset",
    "Source",
    "Split",
    "augmenter",
    "corrupt",
    "corruptions",
    "data_home",
    "decode_image",
    "encode_png",
    "load",
    "open_directory",
    "open_source",
    "open_split",
    "pinned_order",
    "prepare_archive",
    "prepare_folder",
    "prepared",
    "preprocessor",
    "read_pickle",
    "write_directory",
]
