"""Settings that several configs share."""

from ml_collections import ConfigDict

from lpjax import transforms
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.run.config import default_config
from lpjax.run.settings import DENSE


def suptickets(
    argument: str = "rigl,0.95",
    *,
    dataset: str,
    model: str,
    epochs: int = 250,
    every: str = "1000it",
    cycle: int = 8,
    share: float = 0.1,
) -> ConfigDict:
    """Makes the config of a base network and Sup-tickets, by default as the paper trains on CIFAR.

    SGD of batches of 128, learning rate 0.1, times 0.1 after a half and three quarters of the training, momentum 0.9,
    weight decay 5e-4. `rigl` and `set` are the paper's, the forms of In-Time Over-Parameterization: half of the weights
    change every 1,000 steps, to the end of ordinary training. `granet` and `gmp` reach their density after 44 %. Images
    of CIFAR-10 are padded by reflection, others with black.

    Args:
      argument: `'METHOD,SPARSITY'`, as the paper's tables name them: a name of `transforms.METHODS` and a fraction; or
        `'dense'`.
      dataset: As for `config.dataset`.
      model: As for `config.model`.
      epochs: Of the whole training.
      every: Between changes of the mask.
      cycle: Epochs of a cycle.
      share: Of training, that cycles may take.

    Returns:
      A config, to be changed further.

    Raises:
      UserError: If the argument has another form.

    Example:
      >>> config = suptickets('rigl,0.95', dataset='cifar100', model='suptickets_vgg16')
      >>> config.sparse.method, config.sparse.density, config.train.milestones
      ('rigl', 0.05, ('125ep', '187ep'))

    References:
      Yin et al., Superposing Many Tickets into One: A Performance Booster for Sparse Neural Network Training, UAI 2022,
      section 4.1; Liu et al., ICML 2021 (ITOP).

    Departs from the paper:
      Its text leaves open when GraNet reaches its density; 110 of 250 epochs are its code's.
    """
    method, sparsity = _parse(argument)
    config = default_config()
    config.dataset = dataset
    config.model = model
    config.augment.pad = "reflect" if dataset == "cifar10" else "zero"  # as its code does
    config.train.duration = f"{epochs}ep"
    config.train.milestones = (f"{epochs // 2}ep", f"{3 * epochs // 4}ep")
    config.train.weight_decay = 5e-4
    config.sparse.method = method
    config.sparse.density = round(1 - sparsity, 9)
    config.sparse.every = every
    config.sparse.prune_until = f"{round(0.44 * epochs)}ep"
    config.superpose.cycle = f"{cycle}ep"
    config.superpose.share = share
    config.pool.recalibrate = "full"
    return config


def _parse(argument: str) -> tuple[str, float]:
    method, _, text = argument.partition(",")
    one_of(
        "method", method, (DENSE, *transforms.METHODS), "; write METHOD,SPARSITY behind the config, as in :rigl,0.95"
    )
    try:
        sparsity = float(text or "0") if method == DENSE else float(text)
    except ValueError:
        sparsity = -1.0
    if not 0 <= sparsity < 1:
        raise UserError(
            f"sparsity {text!r} of {argument!r} is no fraction in [0, 1); write METHOD,SPARSITY, as in :rigl,0.95"
        )
    if method == DENSE and sparsity:
        raise UserError(f"a dense network has sparsity 0, not {text}; write :dense, or name another method")
    return method, sparsity
