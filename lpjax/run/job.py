"""What a config describes, made ready: data on the device, the network, the compiled step."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from lpjax import models, sparsity, tickets, train
from lpjax.run.check import check_rewind
from lpjax.run.images import load_images
from lpjax.train import Phases
from lpjax.transforms import fixed_mask
from lpjax.types import Apply, Augment, Batch, Preprocess, Variables

PyTree = Any


PRUNABLE = {"convolutions": sparsity.convolution_kernels, "kernels": sparsity.kernels}


class Job(NamedTuple):
    """Everything that the stages of a run share.

    Attributes:
      config: The resolved configuration.
      train: Training images on the devices, for recalibration: all, unless they are read while training.
      validation: What selects.
      test: What reports.
      apply: The network.
      augment: Keys and images to normalized floats, with augmentation.
      preprocess: Images to normalized floats.
      initialize: Key to fresh variables.
      like: Their shapes.
      mask: The full mask of the parameters, without the statistics.
      prunable: Which leaves may be pruned: a predicate for trees of parameters and of variables.
      optimizer: Mask of the parameters to the optimizer that trains inside it.
      compiled: Optimizer to its data-parallel training step; nothing is compiled before its first call.
      step: That of `optimizer`.
      fit: `train.fit` on this job's data, `(step, state, key, stop=..., yield_at=..., should_yield=...)`.
      evaluate: Accuracy on validation, every batch spread over the devices.
      recalibrate: Fresh BatchNorm statistics, likewise.
      alone: Both again, computed whole by whichever device runs them: for networks that are spread themselves.
      mesh: The devices.
      images: Training images there are.
      steps_per_epoch: Batches in one pass.
      learning_rate: By step.
    """

    config: ConfigDict
    train: Batch
    validation: Batch
    test: Batch
    apply: Apply
    augment: Augment
    preprocess: Preprocess
    initialize: Callable[[jax.Array], Variables]
    like: Variables
    mask: PyTree
    prunable: sparsity.Predicate
    optimizer: Callable[[PyTree], optax.GradientTransformation]
    compiled: Callable[[optax.GradientTransformation], train.Step]
    step: train.Step
    fit: Callable[..., Iterator[train.TrainEvent]]
    evaluate: train.Evaluate
    recalibrate: train.Recalibrate
    alone: tuple[train.Evaluate, train.Recalibrate]
    mesh: Mesh
    images: int
    steps_per_epoch: int
    learning_rate: optax.Schedule

    def steps(self, duration: str) -> int:
        """Turns a duration into steps of this job."""
        return train.steps(duration, self.steps_per_epoch)

    @property
    def phases(self) -> Phases:
        """Divides sparse training, in steps."""
        settings = self.config.superpose
        return train.phases(self.steps(self.config.train.duration), settings.share, self.steps(settings.cycle))

    @property
    def levels(self) -> int:
        """Counts the tickets of a seed: those of iterative pruning, or the base network and the cheap tickets."""
        return self.config.imp.levels if self.config.sparse.method == "none" else 1 + self.phases.cycles


def prepare(config: ConfigDict) -> Job:
    """Loads the data, builds the network and compiles nothing yet.

    Args:
      config: The resolved configuration.

    Returns:
      The job.

    Raises:
      ValueError: If data are missing, or the rewind point lies beyond training.
    """
    mesh = train.mesh_of()
    images = load_images(config, mesh)
    steps_per_epoch = train.steps_per_epoch(images.size, config.train.batch_size)
    options = {"width": config.width} if config.width else {}
    module = models.build(config.model, classes=images.classes, dtype=config.dtype, **options)

    def initialize(key: jax.Array) -> Variables:
        return models.initialize(module, key, images.shape)

    like = jax.eval_shape(initialize, jax.random.key(0))
    mask = sparsity.full_mask(like.params)
    predicate = prunable(config)
    if config.sparse.method == "none":
        check_rewind(config, steps_per_epoch)
        _check_levels(config, sparsity.total(like.params, predicate))
    learning_rate = _learning_rate(config, steps_per_epoch)

    def optimizer(mask: PyTree) -> optax.GradientTransformation:
        # Scalars leave the arithmetic of biases and norms alone: their bits are those of earlier versions.
        where_pruned = sparsity.with_scalars(mask, predicate)
        return fixed_mask(train.sgd(learning_rate, config.train.momentum, config.train.weight_decay), where_pruned)

    apply, augment, preprocess = models.bind(module), images.augment, images.preprocess

    def compiled(optimizer: optax.GradientTransformation) -> train.Step:
        smoothing = config.train.label_smoothing
        take = train.identity_batch if images.streamed else train.take_batch
        step = train.train_step(apply, optimizer, augment, label_smoothing=smoothing, axis_name=train.AXIS, take=take)
        return train.data_parallel(step, mesh, replicated_data=not images.streamed)

    def fit(step: train.Step, state: train.TrainState, key: jax.Array, **pauses: Any) -> Iterator[train.TrainEvent]:
        sizes = {"images": images.size, "batch_size": config.train.batch_size}
        return train.fit(step, train.replicate(state, mesh), images.feed, key, **sizes, **pauses)

    budget = images.size if config.pool.recalibrate == "full" else int(config.pool.recalibrate)

    def measures(mesh: Mesh | None) -> tuple[train.Evaluate, train.Recalibrate]:
        sizes = {"images": budget, "batch_size": config.train.batch_size}
        return (
            train.evaluator(apply, preprocess, images.validation, config.eval_batch_size, mesh),
            train.recalibrator(apply, augment, images.known, **sizes, mesh=mesh),
        )

    evaluate, recalibrate = measures(mesh)
    return Job(
        config=config,
        train=images.known,
        validation=images.validation,
        test=images.test,
        apply=apply,
        augment=augment,
        preprocess=preprocess,
        initialize=initialize,
        like=like,
        mask=mask,
        prunable=predicate,
        optimizer=optimizer,
        compiled=compiled,
        step=compiled(optimizer(mask)),
        fit=fit,
        evaluate=evaluate,
        recalibrate=recalibrate,
        alone=measures(None) if mesh.size > 1 else (evaluate, recalibrate),
        mesh=mesh,
        images=images.size,
        steps_per_epoch=steps_per_epoch,
        learning_rate=learning_rate,
    )


def prunable(config: ConfigDict) -> sparsity.Predicate:
    """Tells which weights may be pruned.

    Args:
      config: The resolved configuration.

    Returns:
      A predicate for trees of parameters and of `Variables`.
    """
    name = (config.imp if config.sparse.method == "none" else config.sparse).prunable
    return PRUNABLE[name] if name in PRUNABLE else sparsity.by_path(name.removeprefix("path:"))


def _check_levels(config: ConfigDict, total: int) -> None:
    kept, rule = total, tickets.RULES[config.imp.count_rule]
    for level in range(1, config.imp.levels):
        kept = rule(kept, config.imp.prune_fraction, 0)
        if kept < 1:
            raise ValueError(f"imp.levels is {config.imp.levels}, but level {level} leaves no weight; ask for fewer")


def _learning_rate(config: ConfigDict, steps_per_epoch: int) -> optax.Schedule:
    def in_steps(duration: str) -> int:
        return train.steps(duration, steps_per_epoch)

    settings = config.train
    return train.learning_rate(
        settings.schedule,
        settings.learning_rate,
        in_steps(settings.duration),
        milestones=[in_steps(m) for m in settings.milestones],
        decay=settings.decay,
        warmup=in_steps(settings.warmup),
    )
