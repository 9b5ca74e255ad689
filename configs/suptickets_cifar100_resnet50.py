"""ResNet-50 on CIFAR-100, sparse from the start: Sup-tickets, UAI 2022, Table 2.

Command: python -m lpjax.main --config=configs/suptickets_cifar100_resnet50.py:rigl,0.95 --workdir=runs/resnet50_c100
  with METHOD,SPARSITY (methods: set, rigl, granet, erk, snip, ...; or dense) and --config.seeds=0,1,2
Paper: RigL 76.96, 77.95, 78.19, with Sup-tickets 77.58, 78.52, 78.69; dense 78.00 ± 0.40
  (test accuracy in %, mean of 3 runs, hardware not stated; sparsity 0.95, 0.9, 0.8).
Ours: not yet measured.

500 training images are held out to watch the training; nothing is selected on them. The authors hold out none.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    config = suptickets(argument, dataset="cifar100", model="suptickets_resnet50")
    config.validation = 500
    return config
