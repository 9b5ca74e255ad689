"""ResNet-34 on ImageNet: Lottery Pools, AAAI 2023, Table 2 and ImageNet panel of Figure 3a.

Command: python -m lpjax.main --config=configs/imagenet_resnet34.py --workdir=runs/imagenet_resnet34
Paper (test accuracy read off its figure): dense 0.7361, sparse tickets 0.7353 to 0.7405,
  interpolation pools 0.0033 above the tickets on average over 9 levels.
Ours: not yet measured.
Data: imagenet2012 as TFDS prepares it (ArrayRecord), read while training; or a folder, `python -m lpjax.data.prepare
  folder --any_size --name=NAME --source=DIR`, and --config.dataset=NAME.

The paper's Table 2 gives epochs, rewind point and number of tickets; everything else is OpenLTH's default. The search
validates on 10,000 training images held out, so an epoch has 1,242 steps where OpenLTH's has 1,252; the official
validation split reports. Pictures are cut as OpenLTH cuts them (area 0.1 to 1, ratio 0.8 to 1.25), and measured on the
center of 256 pixels. Departs from the paper: statistics are recalibrated on 4,096 images, each cut out once and for
all; pools are searched as is the default of lpjax (docs/decisions/ranked_search.md), the exhaustive search is
--config.pool.rank_by=recalibrated --config.pool.coarse_stride=1. See experiments/lottery_pools/imagenet.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "imagenet2012"
    config.model = "imagenet_resnet34"
    config.validation = 10_000
    config.stream.size = 224
    config.train.duration = "90ep"
    config.train.batch_size = 1024
    config.train.learning_rate = 0.4
    config.train.milestones = ("30ep", "60ep", "80ep")
    config.train.warmup = "5ep"
    config.imp.levels = 9
    config.imp.rewind = "5ep"
    config.imp.prunable = "kernels"  # the classifier too
    config.imp.count_rule = "openlth"
    config.imp.ticket = "last"
    config.imp.dense = "rewound"
    return config
