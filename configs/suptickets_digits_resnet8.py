"""ResNet-8 on scikit-learn's 1,797 handwritten digits, sparse from the start: the demo, seconds on two CPU cores.

Command: python -m lpjax.main --config=configs/suptickets_digits_resnet8.py:rigl,0.95 --workdir=runs/sup_demo
  or every table: python -m experiments.sup_tickets --preset=demo
Paper: none, the images are 8x8; the method is that of Sup-tickets, UAI 2022, Algorithm 1.
Ours (test accuracy, mean of seeds 0 and 1): base network 0.8388, cheap tickets 0.8274, CIA of all four 0.8519; at
  sparsity 0.9 0.9266, 0.9087 and 0.9279; 2 CPU cores (AMD EPYC), 4 seconds an arm once compiled, Python 3.11,
  jax 0.10.2. With 480 steps in all, learning rates of a cycle are ten times the paper's.
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
