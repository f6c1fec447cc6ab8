"""Training, read from top to bottom: `train(config)` is the whole of it.

Every random draw follows from numbers, not from what was drawn before: order and augmentation from (seed, epoch),
matching and stochastic depth from (seed, epoch, step, shard). So a run that was killed and continues from a state saved
in the middle of an epoch ends with the same numbers as one that was not. On a CPU that holds bit for bit with the same
number of threads; on a GPU up to kernels that do not repeat themselves.

A batch is split into as many shards of equal size as there are processes × `accumulate`. Each shard is paired, goes
forward and backward by itself; the gradients of all are summed before the one step of the optimizer. So two processes,
and one that accumulates twice, do the same; but one undivided batch does not quite, as whatever compares images does so
within a shard: PWCA's pairs, and in re-identification the triplet loss (of 64 images in four shards each is compared
with 15 others, not with 63) and the neck's batch statistics, whose averages are the first process's. TransReID's
several GPUs do the same. To keep the paper's mining on k shards, make the batch k times larger.

    dcal train --dataset cub --data-root CUB_200_2011 --ablation full
    torchrun --nproc-per-node 4 -m dcal.train --dataset cub --data-root CUB_200_2011 --ablation full
"""

from __future__ import annotations

import signal
import time
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor
from torch.utils.data import DataLoader

from dcal.data.samples import Samples
from dcal.data.validate import require_readable
from dcal.data.workers import loaded
from dcal.device import precision
from dcal.errors import DCALError, Interrupted, LossError
from dcal.model.ablation import branches
from dcal.model.checkpoint import fingerprint, save_checkpoint
from dcal.model.dcal import DCAL, create_model
from dcal.model.loss import DCALLoss
from dcal.model.pwca import random_matching
from dcal.progress import OnProgress, silent, time_left
from dcal.provenance import hardware, memory_mib
from dcal.training.command import train_command
from dcal.training.config import TrainConfig
from dcal.training.contents import check_contents
from dcal.training.distributed import Processes, device_of, process_group, sum_gradients
from dcal.training.epoch_maps import fixed_images, maps_of, write_images, write_maps
from dcal.training.folder import finished, locked, prepare_out, run_errors, set_aside, write_json, write_run
from dcal.training.interrupts import Interrupts, ignore_signals, noted_signals
from dcal.training.logger import RunLogger, RunningMeans
from dcal.training.optimizer import learning_rate, make_optimizer, parameter_groups
from dcal.training.report import banner, describe, percent
from dcal.training.seeds import draw_seed
from dcal.training.snapshots import comparable, load_newest, load_state, save_best, save_state
from dcal.training.step import forward_backward
from dcal.training.task import Task, open_task


def train(config: TrainConfig, on_progress: OnProgress = silent) -> dict[str, Any]:
    """Train, evaluate on the official test split and export to <out>/checkpoint; the metrics come back (fractions).

    Under torchrun this process does its part, and the first one writes. Which epoch counts: choosing it by test
    accuracy would be selection on the test set. So without `val_fraction` the LAST epoch is exported and evaluations on
    the way are only written down; with it, the epoch that is best on the held-out training images is (out/best.pt), by
    top-1 (FGVC) or mAP (Re-ID). Raises DCALError on a data set smaller than one batch, on an `out` that holds another
    run, and on a loss or a gradient that is not finite, naming the images; ImageError on an image that cannot be read.
    The configuration cannot be edited any more afterwards.
    """
    config.freeze()
    with process_group(config.device) as ranks, noted_signals() as interrupts, run_errors(config.folder):
        device, task = device_of(config.device, ranks), open_task(config)
        check_shards(config, ranks)
        if not ranks.first:
            return train_as(ranks, config, device, task, silent, interrupts)
        if config.check_images and not (config.resume and config.folder.exists()):
            require_readable(task.images(), config.workers, on_progress)
        prepare_out(config)
        with locked(config.folder):
            return train_as(ranks, config, device, task, on_progress, interrupts)


def train_as(
    ranks: Processes,
    config: TrainConfig,
    device: torch.device,
    task: Task,
    on_progress: OnProgress,
    interrupts: Interrupts,
) -> dict[str, Any]:
    out, samples, steps, shards = config.folder, task.samples, task.steps, ranks.world * config.accumulate
    settings = comparable(config, shards)
    layout = torch.channels_last if config.channels_last else torch.preserve_format

    # --- where an earlier run stopped -----------------------------------------------------------------------------
    ranks.check_same("settings", settings)
    contents = task.contents()
    ranks.check_same("images", contents)
    state = ranks.from_first(load_newest(out, settings) if ranks.first and config.resume else None)
    done, earlier, best, pending = 0, 0.0, -1.0, False  # steps, seconds, best held-out figure, is an evaluation due?
    if state is not None:
        task.steps = steps = state.get("steps", steps)  # more epochs could have shorter ones among them
        done, earlier, best, pending = state["step"], state["seconds"], state["best"], state.get("pending", False)
    if ranks.first:
        check_contents(contents, out, begun=state is not None)
    ended = ranks.from_first(finished(out, state, config.epochs) if ranks.first else None)
    if ended is not None:
        say(ranks, f"the run in {out} is finished ({config.epochs} epochs): nothing to do. More --epochs extend it")
        return ended

    # --- the model, its loss, its optimizer -----------------------------------------------------------------------
    torch.manual_seed(draw_seed(config.seed, -1))
    model = create_model(
        config.backbone,
        num_classes=task.num_classes,
        ablation=config.ablation,
        img_size=config.size,
        pretrained=config.weights,
        task=config.task,
        top_ratio=config.top_ratio,
        readout=config.readout,
        selection=config.selection,
        distractor_stream=config.distractor_stream,
        num_sa_layers=config.num_sa_layers,
        num_glca_layers=config.num_glca_layers,
        num_pwca_layers=config.num_pwca_layers,
        classes=task.classes,
        preprocess=samples.preprocess,
        drop_path=config.drop_path,
    )
    model = model.to(device).to(memory_format=layout)
    loss_function = DCALLoss(
        branches(config.ablation),
        config.label_smoothing,
        config.triplet,
        config.triplet_margin,
        config.use_uncertainty_weighting,
    ).to(device)
    optimizer = make_optimizer(parameter_groups(model, loss_function, config), config)
    ema = ModelEmaV3(model, decay=config.ema, use_warmup=True) if config.ema else None
    judged = model if ema is None else ema.module  # what is evaluated and exported
    learning: dict[str, Any] = {"model": model, "loss": loss_function, "optimizer": optimizer}
    learning |= {} if ema is None else {"ema": ema}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    ranks.check_same("weights", fingerprint(model))
    if state is not None:
        for name, part in learning.items():
            part.load_state_dict(state[name])
    journal = RunLogger(config, done, pending) if ranks.first else None
    if config.compile:
        compile_branches(model)
    if ranks.first:
        write_run(out, config, train_command(config, ranks.world))
        fixed = fixed_images(samples)  # whose maps are kept after every epoch
        write_images(fixed, out)

    # --- the epochs -----------------------------------------------------------------------------------------------
    pairs, dtype = "pwca" in branches(config.ablation), precision(config.amp, device)
    machine = hardware(device, ranks.world)
    precise = str(dtype).removeprefix("torch.")
    say(ranks, banner(config, len(samples), task.num_classes, steps, done, f"{machine}, {precise}"))
    split = "val" if task.held_out else "test"
    mine = range(ranks.rank * config.accumulate, (ranks.rank + 1) * config.accumulate)  # this process's shards
    few = torch.empty(0)  # images of the first shard, to measure distraction on
    window = RunningMeans(branches(config.ablation), device)
    start = time.perf_counter()

    def snapshot(pending: bool) -> dict[str, Any]:
        """All that the run needs to continue: what learns, how far it is, the settings that it must go on with."""
        parts = {name: part.state_dict() for name, part in learning.items()}
        progress = {"step": done, "steps": steps, "seconds": earlier + time.perf_counter() - start, "best": best}
        return {**parts, **progress, "pending": pending, "config": settings}

    for epoch in range((done - pending) // steps, config.epochs):
        batches = task.batches(epoch, shards)
        todo = range(done - epoch * steps, steps)  # all of it, unless resumed in its middle
        samples.set_epoch(epoch)
        loader = DataLoader(
            samples,
            batch_sampler=batches[todo.start :, mine.start : mine.stop].flatten(0, 1).tolist(),
            num_workers=config.workers,
            pin_memory=device.type == "cuda",
            worker_init_fn=ignore_signals,
        )
        model.train()
        began, logged, line = time.perf_counter(), done, {}
        on_progress(f"epoch {epoch + 1}/{config.epochs}", todo.start, steps)
        batches_read = loaded(loader)
        for step in todo:
            lr = learning_rate(config, done, steps)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["rate"]
            optimizer.zero_grad(set_to_none=True)
            for shard in mine:
                images, labels = next(batches_read)
                images = images.to(device, non_blocking=True, memory_format=layout)
                few = images[:8] if shard == mine.start else few
                labels = labels.to(device, non_blocking=True)
                torch.manual_seed(draw_seed(config.seed, epoch, step, shard))  # the matching and stochastic depth
                partner = random_matching(len(labels)).to(device) if pairs else None
                try:
                    taken = forward_backward(
                        model, loss_function, images, labels, partner, scale=1 / shards, precision=dtype
                    )
                except LossError as error:
                    raise DCALError(f"{error}, {where(epoch, step, samples, batches[step, shard])}") from error
                window.add(taken, labels)
            sum_gradients(ranks, parameters)
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            if not torch.isfinite(norm):
                whose = where(epoch, step, samples, batches[step].flatten())
                raise DCALError(f"the losses are finite, but the gradient's norm is {norm.item()}, {whose}")
            optimizer.step()
            done += 1
            if ema is not None:
                ema.update(model, step=done)
            last = step + 1 == steps
            stopping = ranks.any(interrupts.noted > 0)  # all after the same step
            saving = stopping or (config.save_every > 0 and done % config.save_every == 0 and not last)

            # once in a while: say how it goes
            if done % config.log_every == 0 or last or saving:
                means, now = window.means(ranks), time.perf_counter()
                line = {
                    "epoch": epoch,
                    "step": done,
                    **means,
                    "loss_weights": loss_weights(loss_function),
                    "learning_rate": lr,
                    "gradient_norm": norm.item(),
                    "images_per_second": (done - logged) * config.batch_size / (now - began),
                    "memory_mib": memory_mib(device),
                }
                if pairs and ranks.first:
                    drawn = torch.Generator().manual_seed(draw_seed(config.seed, epoch, step))
                    matching = random_matching(len(few), drawn).to(device)
                    line["distractor_shares"] = model.distractor_shares(few, matching).tolist()
                began, logged = now, done
                if journal is not None:
                    journal.write(line)
                left = time_left((config.epochs * steps - done) * config.batch_size / line["images_per_second"])
                on_progress(f"epoch {epoch + 1}/{config.epochs}", step + 1, steps, f"{describe(line)}  {left}")

            # once in a while: what the run needs to continue
            if saving and ranks.first:
                save_state(snapshot(pending=last), out)
            if stopping:
                raise Interrupted(stopped(done, config.epochs * steps, config), interrupts.noted or signal.SIGTERM)
        if line:
            say(ranks, f"epoch {epoch + 1}/{config.epochs}  {describe(line)}")

        # after the last epoch, and once in a while before: how good is it?
        improved = False
        if task.held_out or (config.eval_every and (epoch + 1) % config.eval_every == 0 and epoch + 1 < config.epochs):
            if ranks.first and line:  # an evaluation can be long: a run that ends in it goes on with it
                save_state(snapshot(pending=True), out)
            found = task.evaluate(ranks, judged, split, interrupts.ending(on_progress, out))
            improved = task.held_out and found[task.goal] > best
            if journal is not None:
                journal.write({"epoch": epoch, "step": done, "split": split, **found})
            say(ranks, f"epoch {epoch + 1}/{config.epochs}  {split}: {percent(found)}")

        # what the run needs to continue, and what it will export
        best = found[task.goal] if improved else best
        if ranks.first:
            write_maps(maps := maps_of(judged, fixed), epoch + 1, out)
            if journal is not None:
                journal.show(fixed, maps, done)
            if improved:
                save_best(snapshot(pending=False), out)
            save_state(snapshot(pending=False), out)

    # --- the figures that count, and the checkpoint ---------------------------------------------------------------
    chosen = out / ("best.pt" if task.held_out else "last.pt")
    exported = ranks.from_first(load_state(chosen, settings) if ranks.first else {})
    for name, part in learning.items():
        part.load_state_dict(exported[name])
    judged.half().float()  # a checkpoint stores float16: measure what it gives
    found = task.evaluate(ranks, judged, "test", interrupts.ending(on_progress, out))
    epochs = exported["step"] // steps
    metrics = {
        **found,
        "epoch": epochs,
        "epochs": config.epochs,
        "chosen_by": "held-out training images" if task.held_out else "last epoch",
        "train_images": len(samples),
        "task": config.task,
        "dataset": config.dataset,
        "loss_weights": loss_weights(loss_function),
        "seed": config.seed,
        "seconds": round(earlier + time.perf_counter() - start, 1),
        "hardware": machine,
        "precision": precise,
        "torch": torch.__version__,
        "command": train_command(config, ranks.world),
    }
    if journal is not None:
        journal.write({"epoch": epochs - 1, "step": exported["step"], "split": "test", "exported": True, **found})
        journal.close()
        card = {"Data": task.about, "Trained by": f"```\n{metrics['command']}\n```"}
        if set_aside(out / "checkpoint", fingerprint(judged)):
            save_checkpoint(judged, out / "checkpoint", metrics=metrics, card=card)
        write_json(metrics, out / "metrics.json")
    say(ranks, f"test: {percent(found)}  →  {out / 'checkpoint'}")
    return metrics


def check_shards(config: TrainConfig, ranks: Processes) -> None:
    """Raises DCALError unless a batch splits into as many equal shards as there are processes × `accumulate`."""
    shards = ranks.world * config.accumulate
    if config.batch_size % shards:
        raise DCALError(
            f"a batch of {config.batch_size} cannot be split into {shards} equal shards "
            f"(processes {ranks.world} × accumulate {config.accumulate}): make batch_size a multiple of {shards}"
        )


def compile_branches(model: DCAL) -> None:
    """torch.compile of what a step and an evaluation call; the modules stay as they are, and so does the checkpoint."""
    for name in ("forward_alone", "forward_pairs"):
        setattr(model, name, torch.compile(getattr(model, name)))


def loss_weights(loss: DCALLoss) -> dict[str, float]:
    """{branch: w}, the paper's w1, w2, w3; empty for a single branch, which has none."""
    weights = [] if loss.weights is None else loss.weights.tolist()
    return dict(zip(loss.branches, weights, strict=loss.weights is not None))


def stopped(done: int, total: int, config: TrainConfig) -> str:
    return (
        f"interrupted at step {done:,} of {total:,}; the state is saved in {config.folder}: "
        "continue with the same command and --resume"
    )


def where(epoch: int, step: int, samples: Samples, indices: Tensor) -> str:
    names = ", ".join(samples.records[index].path.name for index in indices.tolist())
    return f"at epoch {epoch}, step {step}; images: {names}"


def say(ranks: Processes, text: str) -> None:
    if ranks.first:
        print(text, flush=True)
