"""Wide ResNet-28-10 on CIFAR-100, sparse from the start: Sup-tickets, UAI 2022, Table 4.

Command: python -m lpjax.main --config=configs/suptickets_cifar100_wide_resnet28_10.py:granet,0.95 --workdir=runs/wrn100
  with METHOD,SPARSITY (methods: set, rigl, granet, erk, snip, ...; or dense) and --config.seeds=0,1,2
Paper: GraNet with Sup-tickets 80.65, 81.20, 81.42; dense 81.09
  (test accuracy in %, mean of 3 runs, hardware not stated; sparsity 0.95, 0.9, 0.8).
Ours: not yet measured.

500 training images are held out to watch the training; nothing is selected on them. The authors hold out none.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "granet,0.95") -> ConfigDict:
    config = suptickets(argument, dataset="cifar100", model="wide_resnet28_10")
    config.validation = 500
    return config
