"""Wide ResNet-28-10 on CIFAR-10, sparse from the start: Sup-tickets, UAI 2022, Table 4.

Command: python -m lpjax.main --config=configs/suptickets_cifar10_wide_resnet28_10.py:granet,0.95 --workdir=runs/wrn10
  with METHOD,SPARSITY (methods: set, rigl, granet, erk, snip, ...; or dense) and --config.seeds=0,1,2
Paper: GraNet with Sup-tickets 96.03, 96.13, 96.08; dense 96.00
  (test accuracy in %, mean of 3 runs, hardware not stated; sparsity 0.95, 0.9, 0.8).
Ours: not yet measured.

5,000 training images are held out, as in the authors' code.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "granet,0.95") -> ConfigDict:
    return suptickets(argument, dataset="cifar10", model="wide_resnet28_10")
