"""ResNet-8 on CIFAR-10 averaged down to 16x16, sparse from the start: natural images without an accelerator.

Command: python -m lpjax.main --config=configs/suptickets_cifar10_16x16_resnet8.py:rigl,0.95 --workdir=runs/sup_16x16
  after, once: python -m lpjax.data.prepare downsampled --source=cifar10
  or every table: python -m experiments.sup_tickets --preset=laptop
Paper: none, the images have a quarter of the pixels; the method is that of Sup-tickets, UAI 2022, Algorithm 1.
Ours (test accuracy at sparsity 0.95, mean and standard deviation over 3 seeds): RigL 0.6012 ± 0.0054 alone,
  0.5918 ± 0.0026 with Sup-tickets; 0.9 and other methods in experiments/sup_tickets/table1. Dense: 0.7275 ± 0.0017.
  2 CPU cores (AMD EPYC), Python 3.11.7, jax 0.10.2.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    config = suptickets(argument, dataset="cifar10_16x16", model="resnet8", epochs=20, every="1ep", cycle=2, share=0.3)
    config.train_images = 25000  # as in cifar10_16x16_resnet8
    config.augment.crop = 0  # likewise
    config.width = 16
    config.train.batch_size = 64
    return config
