"""ResNet-18 on CIFAR-10 in 20 epochs a level: the paper's figures in miniature, for one GPU.

Command: python -m lpjax.main --config=configs/cifar10_resnet18_short.py --workdir=runs/cifar10_resnet18_short
  or every figure: python -m experiments.lottery_pools --preset=cifar
Paper: none at this length; the method is that of Lottery Pools, AAAI 2023, Algorithm 2.
Ours: not yet measured.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "cifar10"
    config.model = "resnet18"
    config.train.duration = "20ep"
    config.train.milestones = ("10ep", "15ep")
    config.imp.levels = 7
    config.imp.prune_fraction = 0.36  # two of the paper's levels in one
    config.imp.rewind = "1ep"
    return config
