"""VGG-16 on 100 classes of Tiny ImageNet at 32x32 in 40 epochs, sparse from the start, for one GPU.

Command: python -m lpjax.main --config=configs/suptickets_tiny_imagenet100_vgg16.py:rigl,0.95 --workdir=runs/sup_tiny
  with --config.data_dir=DIR, a folder of TFDS data sets with one of this name (see lpjax.data.prepare)
Paper: none on these images, which stand in for CIFAR-100; the method is that of Sup-tickets, UAI 2022, Algorithm 1.
Ours: not yet measured.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.95") -> ConfigDict:
    return suptickets(
        argument, dataset="tiny_imagenet100", model="suptickets_vgg16", epochs=40, every="400it", cycle=2, share=0.2
    )
