"""VGG-16 on CIFAR-10, sparse from the start: Sup-tickets, UAI 2022, Table 1.

Command: python -m lpjax.main --config=configs/suptickets_cifar10_vgg16.py:rigl,0.95 --workdir=runs/vgg16_cifar10
  with METHOD,SPARSITY (methods: set, rigl, granet, erk, snip, ...; or dense) and --config.seeds=0,1,2
Paper: RigL 92.70, 93.48, 93.60, with Sup-tickets 93.20, 93.81, 93.85; dense 93.91 ± 0.26
  (test accuracy in %, mean of 3 runs, hardware not stated; sparsity 0.95, 0.9, 0.8).
Ours: not yet measured.

5,000 training images are held out, as in the authors' code.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    return suptickets(argument, dataset="cifar10", model="suptickets_vgg16")
