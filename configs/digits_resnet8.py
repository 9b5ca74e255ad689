"""ResNet-8 on scikit-learn's 1,797 handwritten digits: the demo, 90 seconds on two CPU cores.

Command: make demo
Paper: none, the images are 8x8; the method is that of Lottery Pools, AAAI 2023, Algorithm 2.
Ours (test accuracy, mean over 10 levels, mean and standard deviation over 10 seeds): tickets 0.9652 ± 0.0031,
  recalibrated tickets 0.9650 ± 0.0028, interpolation pools 0.9709 ± 0.0032; 2 CPU cores (AMD EPYC), Python 3.11.7,
  jax 0.10.2. See experiments/digits_resnet8.
"""

from ml_collections import ConfigDict

from lpjax.run import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "digits"
    config.validation = 500
    config.train_images = 300
    config.augment.crop = 1
    config.augment.flip = False
    config.model = "resnet8"
    config.width = 8
    config.train.duration = "40ep"
    config.train.batch_size = 50
    config.train.milestones = ("20ep", "30ep")
    config.imp.levels = 10
    config.imp.rewind = "2ep"
    config.pool.recalibrate = "full"
    return config
