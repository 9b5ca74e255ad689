"""VGG-16 on CIFAR-10: Lottery Pools, AAAI 2023, Table 2 and Figure 3a.

Command: python -m lpjax.main --config=configs/cifar10_vgg16.py --workdir=runs/cifar10_vgg16
  with --config.seeds=0,1,2 for the three replicates
Paper (test accuracy read off its figure, 3 seeds): dense 0.9314, sparse tickets 0.9298 to 0.9344,
  interpolation pools 0.0069 above the tickets on average over 19 levels.
Ours: not yet measured.

Departs from the paper: pools are searched as is the default of lpjax (docs/decisions/ranked_search.md); the paper's
search is --config.pool.rank_by=recalibrated --config.pool.coarse_stride=1 --config.pool.recalibrate=full.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "cifar10"
    config.model = "vgg16"
    config.train.duration = "182ep"
    config.train.milestones = ("91ep", "136ep")
    config.imp.levels = 19
    config.imp.rewind = "9ep"
    return config
