"""A narrow ResNet-20 on 2,000 images of CIFAR-10: tickets and pools on natural images without an accelerator.

Command: python -m lpjax.main --config=configs/cifar10_resnet20_cpu.py --workdir=runs/cifar10_resnet20_cpu
  with --config.seeds=0,1,2 for the three replicates
Paper: none; the method is that of Lottery Pools, AAAI 2023, Algorithm 2.
Ours, seeds 0, 1, 2 on CIFAR-10 stored as JPEG: tickets 0.4975 ± 0.0110, recalibrated tickets 0.4978 ± 0.0105,
  interpolation pools 0.5354 ± 0.0124, best single ticket 0.5371 ± 0.0100 (test accuracy, mean over 5 levels, spread
  over seeds); 10 to 20 minutes a seed on 2 CPU cores (AMD EPYC), Python 3.11, jax 0.10.2.
  See experiments/cifar10_resnet20_cpu.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "cifar10"
    config.train_images = 2000
    config.validation = 1000
    config.model = "resnet20"
    config.width = 8
    config.train.duration = "20ep"
    config.train.batch_size = 64
    config.train.milestones = ("10ep", "15ep")
    config.imp.levels = 5
    config.imp.prune_fraction = 0.36  # two of the paper's levels in one
    config.imp.rewind = "2ep"
    config.pool.methods = ("recalibrated", "interpolation", "average", "best_single", "swa", "ema_decay")
    config.pool.recalibrate = "512"
    config.corruptions.images = 500
    return config
