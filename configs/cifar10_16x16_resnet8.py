"""ResNet-8 on CIFAR-10 averaged down to 16x16: tickets and pools on natural images without an accelerator.

Command: python -m lpjax.main --config=configs/cifar10_16x16_resnet8.py --workdir=runs/cifar10_16x16_resnet8
  after, once: python -m lpjax.data.prepare downsampled --source=cifar10
Paper: none, the images have a quarter of the pixels; the method is that of Lottery Pools, AAAI 2023, Algorithm 2.
Ours (test accuracy, mean over 7 levels, mean and standard deviation over 5 seeds): tickets 0.7246 ± 0.0026,
  recalibrated tickets 0.7245 ± 0.0022, interpolation pools 0.7283 ± 0.0024; 2 CPU cores (AMD EPYC), Python 3.11.7,
  jax 0.10.2. See experiments/cifar10_16x16_resnet8.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "cifar10_16x16"
    config.train_images = 25000  # with 45,000 images and as many steps, training does not converge
    config.augment.crop = 0  # with crops, neither
    config.model = "resnet8"
    config.width = 16
    config.train.duration = "16ep"
    config.train.batch_size = 64
    config.train.schedule = "cosine"
    config.train.warmup = "1ep"
    config.train.weight_decay = 5e-4
    config.imp.levels = 7
    config.imp.prune_fraction = 0.32  # down to a density of 0.1
    config.imp.rewind = "2ep"
    config.pool.recalibrate = "1024"
    return config
