"""ResNet-50 on CIFAR-10, sparse from the start: Sup-tickets, UAI 2022, Table 2.

Command: python -m lpjax.main --config=configs/suptickets_cifar10_resnet50.py:rigl,0.95 --workdir=runs/resnet50_c10
  with METHOD,SPARSITY (methods: set, rigl, granet, erk, snip, ...; or dense) and --config.seeds=0,1,2
Paper: RigL 94.59, 94.70, 94.70, with Sup-tickets 94.65, 94.82, 94.81; dense 94.88 ± 0.11
  (test accuracy in %, mean of 3 runs, hardware not stated; sparsity 0.95, 0.9, 0.8).
Ours: not yet measured.

5,000 training images are held out, as in the authors' code.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    return suptickets(argument, dataset="cifar10", model="suptickets_resnet50")
