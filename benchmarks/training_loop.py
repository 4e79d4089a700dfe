"""Training images per second beside a stock fastai pipeline and beside the bare step of the network.

``python benchmarks/training_loop.py [images]``; synthetic faces of 48 pixels, the same network, batch size,
optimiser and random changes (turn, zoom, mirror) in all. *Stock* is what fastai's book teaches:
`ImageDataLoaders.from_folder` on PNG files, changes on the batch, as many worker processes as fastai takes.
*Bare* repeats one batch that lies ready: forward, backward, optimiser step, nothing else. The three are
measured in turn; each speed is its best round, and each ratio the median of those within a round.
"""

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import torch
from torch import nn

from fer_utils.data import FaceSet
from fer_utils.models import kishor2022, small_resnet
from fer_utils.models.layers import Scale
from fer_utils.synthetic import synthetic_faces
from fer_utils.training import fastai_training
from fer_utils.training.batches import Batches

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastai.callback.channelslast import ChannelsLast
    from fastai.callback.core import Callback
    from fastai.learner import Learner
    from fastai.optimizer import SGD
    from fastai.vision.augment import aug_transforms
    from fastai.vision.core import PILImageBW
    from fastai.vision.data import ImageDataLoaders

ROUNDS, BATCH = 3, 64
NETWORK = {"features": "raw", "depth": "shallow", "dropout": 0.5, "batch_norm": False}
AUGMENTATION = {"rotation": 10.0, "crop": 0.1, "flip": True}
PARAMS = SimpleNamespace(batch_size=BATCH, seed=0, device="cpu", **NETWORK, **AUGMENTATION)


def tiny(n_classes: int) -> nn.Module:
    """Return a network that a processor steps through faster than one PNG file after the other is opened."""
    layers = [Scale(), nn.AvgPool2d(4), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 10 * 10, n_classes))


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "one convolution": tiny,
    "kishor2022, raw": lambda n: kishor2022.Kishor2022(PARAMS, n, 48),
    "small_resnet": lambda n: small_resnet.build(n_classes=n, seed=0),
}


class Seconds(Callback):
    """The time of the training part of an epoch."""

    def before_train(self) -> None:
        self.start = time.perf_counter()

    def after_train(self) -> None:
        self.taken = time.perf_counter() - self.start


def ours(faces: FaceSet, build: Callable[[int], nn.Module]) -> float:
    loaders = fastai_training.dataloaders(faces, faces.take(slice(0, BATCH)), PARAMS)
    timer, model = Seconds(), build(len(faces.class_names))
    learn = Learner(
        loaders,
        model,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=partial(SGD, mom=0.9),
        cbs=[fastai_training.ReseedEachEpoch(0), ChannelsLast(), timer],
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 0.001)
    return len(faces) / timer.taken


def stock(folder: Path, n: int, build: Callable[[int], nn.Module], classes: int) -> float:
    changes = aug_transforms(max_rotate=10.0, max_zoom=1.1, max_lighting=0, max_warp=0, p_affine=1.0)
    loaders = ImageDataLoaders.from_folder(
        folder,
        valid_pct=BATCH / n,
        bs=BATCH,
        img_cls=PILImageBW,
        batch_tfms=changes,
        device=torch.device("cpu"),
    )
    model, timer = nn.Sequential(FullScale(), build(classes)), Seconds()
    learn = Learner(
        loaders, model, loss_func=nn.CrossEntropyLoss(), opt_func=partial(SGD, mom=0.9), cbs=[timer]
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 0.001)
        learn.fit(1, 0.001)
    return (n - BATCH) // BATCH * BATCH / timer.taken


class FullScale(nn.Module):
    """fastai's pixels are 0 to 1, those of the networks here 0 to 255."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 255 * images.as_subclass(torch.Tensor)


def bare(faces: FaceSet, build: Callable[[int], nn.Module]) -> float:
    model = build(len(faces.class_names)).to(memory_format=torch.channels_last).train()
    images, labels = next(iter(Batches(faces, batch_size=BATCH)))
    optimizer = SGD(list(model.parameters()), lr=0.001, mom=0.9)
    steps = len(faces) // BATCH
    for step in range(2 * steps):
        if step == steps:
            start = time.perf_counter()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return steps * BATCH / (time.perf_counter() - start)


def as_files(faces: FaceSet, folder: Path) -> None:
    for row, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        path = folder / faces.class_names[label] / f"{row}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image)


def main(n_images: int) -> None:
    """Print the figures of each network, the smallest first."""
    faces = synthetic_faces(n_subjects=20, images_per_subject=max(n_images // 20, 10))
    with tempfile.TemporaryDirectory() as folder:
        as_files(faces, Path(folder))
        print(
            f"training on {len(faces)} images of 48x48, batches of {BATCH}, {torch.get_num_threads()} threads"
        )
        for name, build in NETWORKS.items():
            ways = {
                "ours": lambda build=build: ours(faces, build),
                "stock": lambda build=build: stock(Path(folder), len(faces), build, len(faces.class_names)),
                "bare": lambda build=build: bare(faces, build),
            }
            rounds = [{way: measure() for way, measure in ways.items()} for _ in range(ROUNDS)]
            best = {way: max(one[way] for one in rounds) for way in ways}
            times, share = (
                statistics.median(one["ours"] / one[way] for one in rounds) for way in ("stock", "bare")
            )
            print(
                f"  {name:18s} ours {best['ours']:8,.0f} images/s, stock {best['stock']:8,.0f}, "
                f"bare {best['bare']:8,.0f}: {times:.1f} times stock, {share:.0%} of bare"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
