"""VGG-16 on CIFAR-10 in 40 epochs, sparse from the start: the paper's tables in miniature, for one GPU.

Command: python -m lpjax.main --config=configs/suptickets_cifar10_vgg16_short.py:rigl,0.95 --workdir=runs/sup_short
  or every table: python -m experiments.sup_tickets --preset=cifar
Paper: none at this length; the method is that of Sup-tickets, UAI 2022, Algorithm 1.
Ours: not yet measured.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    return suptickets(
        argument, dataset="cifar10", model="suptickets_vgg16", epochs=40, every="400it", cycle=2, share=0.2
    )
