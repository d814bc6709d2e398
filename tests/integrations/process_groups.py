"""Two processes on this machine that train together through gloo."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

PATIENCE_S = 240.0  # a few seconds where the machine is free
Work = Callable[[int, Path], Any]


def run_ranks(work: Work, folder: Path, world: int = 2, *, joined: bool = True) -> None:
    """``work(rank, folder)`` in each of ``world`` forked processes of one group, which need not import all again.

    Args:
        work: What each does; a module's own function.
        folder: Where a process that raises leaves its traceback.
        world: How many processes.
        joined: The group is made before and left after; else ``work`` does so, by the environment as torchrun sets it.

    Raises:
        AssertionError: One of them raised, or has not ended after ``PATIENCE_S``: it waits for another, perhaps.
    """
    import_module("torch._dynamo")  # which DistributedDataParallel does: here once, and not in each process
    fork = multiprocessing.get_context("fork")
    port = free_port()
    ranks = [fork.Process(target=_of_one_rank, args=(rank, world, port, work, folder, joined)) for rank in range(world)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
        for rank in ranks:
            rank.start()
    for rank in ranks:
        rank.join(PATIENCE_S)
    stuck = [rank for rank in ranks if rank.is_alive()]
    for rank in stuck:
        rank.kill()
    told = "\n".join(path.read_text() for path in folder.glob("failed-*"))
    assert not stuck, f"{len(stuck)} processes did not end\n{told}"
    assert [rank.exitcode for rank in ranks] == [0] * world, told


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _of_one_rank(rank: int, world: int, port: int, work: Work, folder: Path, joined: bool) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(world)}
    torch.set_num_threads(1)  # threads do not survive a fork
    try:
        if joined:
            torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
        work(rank, folder)
        if joined:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
    except BaseException:
        (folder / f"failed-{rank}").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)  # nothing of the parent's is to be ended here
