"""Training, read from top to bottom: `train(config)` is the whole of it.

Every random draw follows from numbers, not from what was drawn before: order and augmentation from (seed, epoch),
matching and stochastic depth from (seed, epoch, step). So a run that was killed and continues from a state saved in the
middle of an epoch ends with the same numbers as one that was not. On a CPU that holds bit for bit with the same number
of threads; on a GPU up to kernels that do not repeat themselves.

    dcal train --data-root CUB_200_2011 --out runs/full --ablation full --epochs 8 --learning-rate 1e-4
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils.data import DataLoader

from dcal.checkpoint import save_checkpoint
from dcal.config import branches
from dcal.data import DATASETS
from dcal.data.photos import Photos
from dcal.errors import DCALError
from dcal.evaluate import evaluate
from dcal.loss import DCALLoss
from dcal.model import create_model
from dcal.pairing import random_matching
from dcal.recipe import TrainConfig, device_of, draw_seed, fgvc_preprocess, hold_out, learning_rate, parameter_groups
from dcal.run import Log, command, comparable, describe, hardware, percent, progress_bar
from dcal.states import load_newest, load_state, prepare_out, save_best, save_state


def train(config: TrainConfig) -> dict[str, Any]:
    """Train, evaluate on the official test split and export to out/checkpoint; the metrics come back (fractions).

    Which epoch counts: choosing it by test accuracy would be selection on the test set. So without `val_fraction`
    the LAST epoch is exported and evaluations on the way are only written down; with it, the epoch that is best on
    the held-out training photos is (out/best.pt). Raises DCALError on a data set smaller than one batch, on an `out`
    that holds another run, and on a loss that is not finite, naming the photos of that step.
    """
    # --- where and what -------------------------------------------------------------------------------------------
    device = device_of(config)
    data = DATASETS[config.dataset](config.data_root, "train")
    test_data = DATASETS[config.dataset](config.data_root, "test")
    kept, held_out = hold_out(data.records, config.val_fraction, config.seed)
    steps = len(kept) // config.batch_size
    if steps == 0:
        raise DCALError(f"{len(kept)} training photos do not fill one batch of {config.batch_size}: lower batch_size")
    prepare_out(config)

    # --- the model, its loss, its optimizer -----------------------------------------------------------------------
    torch.manual_seed(draw_seed(config.seed, -1))
    model = create_model(
        config.backbone,
        num_classes=len(data.classes),
        ablation=config.ablation,
        img_size=config.img_size,
        pretrained={"true": True, "false": False}.get(config.pretrained.lower(), config.pretrained),
        task=config.task,
        top_ratio=config.top_ratio,
        readout=config.readout,
        selection=config.selection,
        distractor_stream=config.distractor_stream,
        classes=data.classes,
        preprocess=fgvc_preprocess(config),
        drop_path=config.drop_path,
    ).to(device)
    loss_function = DCALLoss(branches(config.ablation), label_smoothing=config.label_smoothing).to(device)
    optimizer = torch.optim.AdamW(parameter_groups(model, loss_function, config), lr=config.peak_rate)

    # --- the photos -----------------------------------------------------------------------------------------------
    preprocess = model.config.preprocess
    photos = Photos(kept, preprocess, augment=True, seed=config.seed)
    test_loader = DataLoader(Photos(test_data.records, preprocess), batch_size=32, num_workers=config.workers)
    val_loader = DataLoader(Photos(held_out, preprocess), batch_size=32, num_workers=config.workers)
    watched, watched_loader = ("val", val_loader) if held_out else ("test", test_loader)

    # --- where an earlier run stopped -----------------------------------------------------------------------------
    done, seconds, best = 0, 0.0, -1.0  # optimizer steps, time of training, the best held-out accuracy
    learning: dict[str, Any] = {"model": model, "loss": loss_function, "optimizer": optimizer}
    if config.resume and (state := load_newest(config.out, config, device)):
        for name, part in learning.items():
            part.load_state_dict(state[name])
        done, seconds, best = state["step"], state["seconds"], state["best"]
    log = Log(config.out / "log.jsonl", after_step=done)

    # --- the epochs -----------------------------------------------------------------------------------------------
    pairs = "pwca" in branches(config.ablation)
    mark = time.perf_counter()
    for epoch in range(done // steps, config.epochs):
        order = torch.Generator().manual_seed(draw_seed(config.seed, epoch))
        batches = torch.randperm(len(photos), generator=order)[: steps * config.batch_size].view(steps, -1).tolist()
        todo = range(done - epoch * steps, steps)  # all of it, unless resumed in its middle
        photos.set_epoch(epoch)
        loader = DataLoader(
            photos, batch_sampler=batches[todo.start :], num_workers=config.workers, pin_memory=device.type == "cuda"
        )
        model.train()
        window, logged = time.perf_counter(), done
        with progress_bar(epoch, config.epochs, steps) as bar:
            for step, (images, labels) in zip(todo, loader, strict=True):
                lr = learning_rate(config, done, steps)
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["rate"]
                torch.manual_seed(draw_seed(config.seed, epoch, step))  # the matching and stochastic depth
                partner = random_matching(len(labels)).to(device) if pairs else None
                images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                with autocast(config, device):
                    out = model(images, distractor=partner)
                    total, parts = loss_function(out, labels)
                if not torch.isfinite(total):
                    names = ", ".join(kept[index].path.name for index in batches[step])
                    losses = ", ".join(f"{name} {part.item()}" for name, part in parts.items())
                    raise DCALError(f"the loss is not finite at epoch {epoch}, step {step} ({losses}); photos: {names}")
                optimizer.zero_grad(set_to_none=True)
                total.backward()
                optimizer.step()
                done += 1

                # once in a while: say how it goes
                if done % config.log_every == 0 or step + 1 == steps:
                    line = {
                        "epoch": epoch,
                        "step": done,
                        "loss": total.item(),
                        "losses": {name: part.item() for name, part in parts.items()},
                        "loss_weights": loss_weights(loss_function),
                        "learning_rate": lr,
                        "images_per_second": (done - logged) * config.batch_size / (time.perf_counter() - window),
                    }
                    window, logged = time.perf_counter(), done
                    log.write(line)
                    bar.update(bar.task_ids[0], completed=step + 1, numbers=describe(line))

                # once in a while: what the run needs to continue
                if config.save_every and done % config.save_every == 0 and step + 1 < steps:
                    seconds, mark = seconds + time.perf_counter() - mark, time.perf_counter()
                    save_state(state_of(learning, config, step=done, seconds=seconds, best=best), config.out)
        print(f"epoch {epoch + 1}/{config.epochs}  {describe(line)}", flush=True)

        # after the last epoch, and once in a while before: how good is it?
        improved = False
        if held_out or (config.eval_every and (epoch + 1) % config.eval_every == 0 and epoch + 1 < config.epochs):
            found = evaluate(model, watched_loader).summary()
            log.write({"epoch": epoch, "step": done, "split": watched, **found})
            print(f"epoch {epoch + 1}/{config.epochs}  {watched}: {percent(found)}", flush=True)
            improved = bool(held_out) and found["top1"] > best

        # what the run needs to continue, and what it will export
        best = found["top1"] if improved else best
        seconds, mark = seconds + time.perf_counter() - mark, time.perf_counter()
        state = state_of(learning, config, step=done, seconds=seconds, best=best)
        if improved:
            save_best(state, config.out)
        save_state(state, config.out)

    # --- the figures that count, and the checkpoint ---------------------------------------------------------------
    exported = load_state(config.out / ("best.pt" if held_out else "last.pt"), config, device)
    model.load_state_dict(exported["model"])
    loss_function.load_state_dict(exported["loss"])
    model.half().float()  # a checkpoint stores float16: measure what it gives
    found = evaluate(model, test_loader).summary()
    epochs = exported["step"] // steps
    log.write({"epoch": epochs - 1, "step": exported["step"], "split": "test", "exported": True, **found})
    metrics = {
        **found,
        "epoch": epochs,
        "chosen_by": "held-out training photos" if held_out else "last epoch",
        "train_photos": len(kept),
        "loss_weights": loss_weights(loss_function),
        "seed": config.seed,
        "seconds": round(seconds, 1),
        "hardware": hardware(device),
        "torch": torch.__version__,
        "command": command(config),
    }
    (config.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    card = {"Data": f"{data}. {test_data}. {data.terms}", "Trained by": f"```\n{command(config)}\n```"}
    save_checkpoint(model, config.out / "checkpoint", metrics=metrics, card=card)
    print(f"test: {percent(found)}  →  {config.out / 'checkpoint'}", flush=True)
    return metrics


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager:
    wanted = config.amp == "bf16" or (config.amp == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def state_of(learning: dict[str, Any], config: TrainConfig, **progress: Any) -> dict[str, Any]:
    """All that the run needs to continue: what learns, how far it is, the settings that it must go on with."""
    return {**{name: part.state_dict() for name, part in learning.items()}, **progress, "config": comparable(config)}


def loss_weights(loss: DCALLoss) -> dict[str, float]:
    """{branch: w}, the paper's w1, w2, w3; empty for a single branch, which has none."""
    weights = [] if loss.weights is None else loss.weights.tolist()
    return dict(zip(loss.branches, weights, strict=loss.weights is not None))


if __name__ == "__main__":
    from dcal.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
