"""ResNet-18 on CIFAR-100: Lottery Pools, AAAI 2023, Table 2 and Figure 3a.

Command: python -m lpjax.main --config=configs/cifar100_resnet18.py --workdir=runs/cifar100_resnet18
  with --config.seeds=0,1,2 for the three replicates
Paper (test accuracy read off its figure, 3 seeds): dense 0.7345, sparse tickets 0.7230 to 0.7440,
  interpolation pools 0.0114 above the tickets on average over 19 levels.
Ours: not yet measured.

Departs from the paper: pools are searched as is the default of lpjax (docs/decisions/ranked_search.md); the paper's
search is --config.pool.rank_by=recalibrated --config.pool.coarse_stride=1 --config.pool.recalibrate=full.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "cifar100"
    config.model = "resnet18"
    config.train.duration = "182ep"
    config.train.milestones = ("91ep", "136ep")
    config.imp.levels = 19
    config.imp.rewind = "9ep"
    return config
