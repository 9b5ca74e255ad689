"""What a config describes, made ready: its data, its network, and what measures networks. Nothing is compiled yet."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from lpjax import metrics, models, sparsity, tickets, train
from lpjax.errors import UserError
from lpjax.models.custom import CustomModel
from lpjax.run.images import Data, load_data
from lpjax.run.settings import PRUNABLE
from lpjax.transforms import fixed_mask
from lpjax.types import Apply, PyTree, Variables


class Network(NamedTuple):
    """The network of a config.

    Attributes:
      apply: Variables and images to logits.
      initialize: Key to fresh variables.
      like: The shapes of its variables.
      mask: The full mask of its parameters, without the statistics.
      prunable: Which leaves may be pruned, of trees of parameters and of variables.
      graph: Its channel graph; None for networks of your own.
    """

    apply: Apply
    initialize: Callable[[jax.Array], Variables]
    like: Variables
    mask: PyTree
    prunable: sparsity.Predicate
    graph: sparsity.ChannelGraph | None


class Measures(NamedTuple):
    """What measures networks on validation.

    Attributes:
      evaluate: Variables to accuracy.
      rank: Variables to accuracy on `pool.rank_images` of validation with the statistics of the batches that are
        evaluated, for which none are needed.
      recalibrate: Variables and key to variables with fresh BatchNorm statistics.
    """

    evaluate: train.Evaluate
    rank: train.Evaluate
    recalibrate: train.Recalibrate


class Setup(NamedTuple):
    """Everything that the stages of a run share.

    Attributes:
      config: The resolved configuration.
      mesh: All devices.
      data: The three splits.
      network: The network.
      measures: On validation, every batch sharded over the devices.
      measures_per_device: The same, but every call runs on one device: for candidates that are sharded over devices.
      training_step: `(name, optimizer) -> step`, data parallel; one step per name, compiled at its first call.
    """

    config: ConfigDict
    mesh: Mesh
    data: Data
    network: Network
    measures: Measures
    measures_per_device: Measures
    training_step: Callable[[Hashable, optax.GradientTransformation], train.Step]

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the training images."""
        return train.steps_per_epoch(self.data.size, self.config.train.batch_size)

    def steps(self, duration: str) -> int:
        """Convert a duration to steps."""
        return train.steps(duration, self.steps_per_epoch)

    def layer_flops(self) -> PyTree:
        """Compute what every parameter costs, as shares of the dense network that add up to 1."""
        flops = network_flops(self.network.apply, self.network.like, self.data.shape)
        total = sum(jax.tree.leaves(flops))
        return jax.tree.map(lambda layer: layer / total, flops)

    def counts(self, mask: PyTree) -> dict[str, Any]:
        """Count a mask: `kept`, `total` and `density`."""
        prunable = self.network.prunable
        return {
            "kept": int(sparsity.kept(mask, prunable)),
            "total": sparsity.total(mask, prunable),
            "density": sparsity.density(mask, prunable),
        }


class SeedKeys(NamedTuple):
    """The keys of one seed, each for one purpose.

    Attributes:
      initial: Initial weights.
      train: Orders and augmentations; folded with the level.
      prune: Scores and masks that are drawn.
      pool: Images for recalibration; folded with the level.
    """

    initial: jax.Array
    train: jax.Array
    prune: jax.Array
    pool: jax.Array

    @classmethod
    def of(cls, seed: int) -> "SeedKeys":
        """Split a seed."""
        return cls(*jax.random.split(jax.random.key(seed), 4))


def prepare(config: ConfigDict) -> Setup:
    """Load the data and build the network of a resolved config.

    Raises:
      UserError: If data are missing, or the rewind point or the number of levels is out of range.
    """
    mesh = train.mesh_of()
    data = load_data(config, mesh)
    network = build_network(config, data)
    if config.sparse.method == "none":
        _check_rewind(config, train.steps_per_epoch(data.size, config.train.batch_size))
        _check_levels(config, sparsity.total(network.like.params, network.prunable))
    shared = _measures(config, data, network, mesh)
    return Setup(
        config=config,
        mesh=mesh,
        data=data,
        network=network,
        measures=shared,
        measures_per_device=_measures(config, data, network, None) if mesh.size > 1 else shared,
        training_step=_training_steps(config, data, network, mesh),
    )


def build_module(config: ConfigDict, data: Data) -> Any:
    """Build the module of a config for the classes of some data."""
    options = {"width": config.width} if config.width else {}
    return models.build(config.model, classes=data.classes, dtype=config.dtype, **options)


def build_network(config: ConfigDict, data: Data) -> Network:
    """Build the network of a config for the classes and image size of some data."""
    module = build_module(config, data)

    def initialize(key: jax.Array) -> Variables:
        return models.initialize(module, key, data.shape)

    like = jax.eval_shape(initialize, jax.random.key(0))
    section = "imp" if config.sparse.method == "none" else "sparse"
    name = config[section].prunable
    prunable = PRUNABLE.get(name) or sparsity.by_path(name.removeprefix("path:"))
    if not any(map(prunable, sparsity.leaf_names(like.params), jax.tree.leaves(like.params))):
        raise UserError(
            f"{section}.prunable: got {name!r}, which accepts no layer of {config.model}; "
            f"try --config.{section}.prunable=kernels"
        )
    graph = None if isinstance(module, CustomModel) else models.channels(module)
    return Network(models.bind(module), initialize, like, sparsity.full_mask(like.params), prunable, graph)


def network_flops(apply: Apply, shapes: Variables, image: tuple[int, ...]) -> PyTree:
    """Count the FLOPs of a forward pass per image `(H, W, C)`, parameter by parameter; nothing is computed."""

    def network(params: PyTree, images: jax.Array, stats: PyTree) -> jax.Array:
        return apply(Variables(params, stats), images)[0]

    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    return metrics.layer_flops(network, shapes.params, images, shapes.stats)


def learning_rate(config: ConfigDict, steps: Callable[[str], int], stop: int | None = None) -> optax.Schedule:
    """Build the learning rate of a config by step.

    Args:
      config: The resolved config.
      steps: Converts durations.
      stop: The last step, by default that of the config. An earlier one moves the milestones: each keeps its share of
        the training, in whole epochs if it is given in epochs.
    """
    settings = config.train
    total = steps(settings.duration)
    stop = total if stop is None else stop
    steps_per_epoch = steps("1ep")
    milestones = []
    for milestone in settings.milestones:
        unit = steps_per_epoch if milestone.endswith("ep") else 1
        milestones.append(steps(milestone) * stop // (total * unit) * unit)
    return train.learning_rate(
        settings.schedule,
        settings.learning_rate,
        stop,
        milestones=milestones,
        decay=settings.decay,
        warmup=steps(settings.warmup),
    )


def masked_sgd(setup: Setup, mask: PyTree) -> optax.GradientTransformation:
    """Build the optimizer that trains inside a mask of the parameters."""
    settings = setup.config.train
    rate = learning_rate(setup.config, setup.steps)
    # Scalars leave the arithmetic of biases and norms alone: their bits are those of earlier versions.
    where_pruned = sparsity.with_scalars(mask, setup.network.prunable)
    return fixed_mask(train.sgd(rate, settings.momentum, settings.weight_decay), where_pruned)


def _measures(config: ConfigDict, data: Data, network: Network, mesh: Mesh | None) -> Measures:
    budget = data.size if config.pool.recalibrate == "full" else int(config.pool.recalibrate)
    sizes = {"images": budget, "batch_size": config.train.batch_size}
    first = jax.tree.map(lambda rows: rows[: config.pool.rank_images or None], data.validation)
    return Measures(
        evaluate=train.evaluator(network.apply, data.preprocess, data.validation, config.eval_batch_size, mesh),
        rank=train.evaluator_of_batch_statistics(network.apply, data.preprocess, first, config.eval_batch_size, mesh),
        recalibrate=train.recalibrator(network.apply, data.augment, data.recalibration_images, **sizes, mesh=mesh),
    )


def _training_steps(
    config: ConfigDict, data: Data, network: Network, mesh: Mesh
) -> Callable[[Hashable, optax.GradientTransformation], train.Step]:
    steps: dict[Hashable, train.Step] = {}

    def training_step(name: Hashable, optimizer: optax.GradientTransformation) -> train.Step:
        if name not in steps:
            step = train.train_step(
                network.apply,
                optimizer,
                data.augment,
                label_smoothing=config.train.label_smoothing,
                axis_name=train.AXIS,
                take=train.identity_batch if data.streamed else train.take_batch,
            )
            steps[name] = train.data_parallel(step, mesh, replicated_data=not data.streamed)
        return steps[name]

    return training_step


def _check_rewind(config: ConfigDict, steps_per_epoch: int) -> None:
    point = train.steps(tickets.rewind_duration(config.imp.rewind), steps_per_epoch)
    end = train.steps(config.train.duration, steps_per_epoch)
    if point >= end:
        raise UserError(
            f"imp.rewind: got {config.imp.rewind!r}, step {point}, expected a point before the end of training, "
            f"{config.train.duration!r}, step {end}"
        )


def _check_levels(config: ConfigDict, total: int) -> None:
    kept = total
    rule = tickets.RULES[config.imp.count_rule]
    for level in range(1, config.imp.levels + 1):  # the last level is pruned too: more levels may follow
        kept = rule(kept, config.imp.prune_fraction, 0)
        if kept < 1:
            raise UserError(
                f"imp.levels: got {config.imp.levels}, expected at most {level - 1}: level {level} would keep no weight"
            )
