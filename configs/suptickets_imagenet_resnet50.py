"""ResNet-50 on ImageNet, sparse from the start: Sup-tickets, UAI 2022, Table 3.

Command: python -m lpjax.main --config=configs/suptickets_imagenet_resnet50.py:rigl,0.8 --workdir=runs/sup_imagenet
  with METHOD,SPARSITY (methods: set, rigl, granet, erk, snip, ...; or dense)
Paper: RigL 75.1, 73.0, with Sup-tickets 76.0, 74.0; GraNet 75.9, 74.4, with Sup-tickets 76.2, 74.6; dense 76.8
  (test accuracy in %, number of runs and hardware not stated; sparsity 0.8, 0.9).
Ours: not yet measured.
Data: imagenet2012 as TFDS prepares it (ArrayRecord), read while training; or a folder, `python -m lpjax.data.prepare
  folder --any_size --name=NAME --source=DIR`, and --config.dataset=NAME.

Milestones keep their share of ordinary training (27, 55 and 78 of 92 epochs), where the authors' code has 30, 60 and 85
in both arms; its warm-up rises once an epoch, this one every step; it decays no BatchNorm of the main path. Its drop
fraction falls to 0.005 at the end of all training, this one to 0 where the masks stop changing.
"""

from ml_collections import ConfigDict

from lpjax.run.recipes import suptickets


def get_config(argument: str = "rigl,0.8") -> ConfigDict:
    config = suptickets(
        argument,
        dataset="imagenet2012",
        model="suptickets_imagenet_resnet50",
        epochs=100,
        every="4000it",
        cycle=2,
        share=0.08,
    )
    config.validation = 10_000
    config.stream.size = 224
    config.stream.area, config.stream.ratio = (0.08, 1.0), (3 / 4, 4 / 3)  # torchvision's own
    config.train.milestones = ("30ep", "60ep", "85ep")
    config.train.warmup = "5ep"
    config.train.weight_decay = 1e-4
    config.train.label_smoothing = 0.1
    config.sparse.drop_schedule = "cosine"
    config.sparse.prune_until = "30ep"
    config.superpose.low, config.superpose.high = 1e-4, 5e-4
    config.pool.recalibrate = "4096"  # images on the devices; all would not fit
    return config
