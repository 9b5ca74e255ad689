"""Settings that several configs share."""

import pytest

from lpjax.errors import UserError
from lpjax.run.recipes import suptickets


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("rigel,0.9", "did you mean 'rigl'"),
        ("rigl", "'rigl'"),
        ("rigl,95", "'rigl,95'"),
        ("rigl,0.9,0.8", "'0.9,0.8'"),
        ("dense,0.9", "0.9"),
    ],
)
def test_an_argument_of_another_form_is_refused_in_one_line(argument, named):
    with pytest.raises(UserError) as refusal:
        suptickets(argument, dataset="cifar10", model="suptickets_vgg16")
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_recipe_is_the_papers_setting_on_cifar():
    config = suptickets("granet,0.95", dataset="cifar10", model="suptickets_vgg16")
    assert (config.train.duration, config.train.milestones) == ("250ep", ("125ep", "187ep"))
    assert (config.train.weight_decay, config.train.momentum, config.train.batch_size) == (5e-4, 0.9, 128)
    assert (config.sparse.density, config.sparse.every, config.sparse.prune_until) == (0.05, "1000it", "110ep")
    assert (config.superpose.share, config.superpose.cycle, config.superpose.shape) == (0.1, "8ep", "triangle")
    assert (config.superpose.low, config.superpose.high) == (0.001, 0.005)
    pads = {name: suptickets(dataset=name, model="vgg16").augment.pad for name in ("cifar10", "cifar100")}
    assert pads == {"cifar10": "reflect", "cifar100": "zero"}
