"""Ignite: the engine's handlers print, as its first example does."""

from __future__ import annotations

import torch
from digits import digits, network, tensors
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss
from making import case, main, note
from torch.utils.data import DataLoader


def train(lr: float, epochs: int) -> None:
    torch.manual_seed(0)
    fit, held_out = (DataLoader(tensors(split), 64, shuffle=True) for split in digits())
    model, loss = network(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    trainer = create_supervised_trainer(model, optimizer, loss)
    evaluator = create_supervised_evaluator(model, {"accuracy": Accuracy(), "nll": Loss(loss)})

    @trainer.on(Events.ITERATION_COMPLETED(every=10))
    def _(engine):
        state = engine.state
        print(f"Epoch[{state.epoch}] Iteration[{state.iteration}/{len(fit)}] Loss: {state.output:.2f}")
        note(train__loss=state.output)

    @trainer.on(Events.EPOCH_COMPLETED)
    def _(engine):
        for name, loader in (("Training", fit), ("Validation", held_out)):
            evaluator.run(loader)
            seen, epoch = evaluator.state.metrics, engine.state.epoch
            print(f"{name} Results - Epoch: {epoch} Avg accuracy: {seen['accuracy']:.2f} Avg loss: {seen['nll']:.2f}")
        note(val__avg_accuracy=seen["accuracy"], val__loss=seen["nll"])

    trainer.run(fit, max_epochs=epochs)


@case("ignite/healthy")
def healthy() -> None:
    train(0.05, 8)


main("pytorch-ignite", "torch")
