"""What a machine offers: threads of a processor, or its GPUs, shared out as the environment allows."""

import os
import sys
from functools import partial

import pytest
import torch

import ex2a_vanishing
import ex2b_adam
from common import data, machine


def test_a_processor_takes_one_run_a_core():
    offers = machine.offers(torch.device("cpu"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert offers["device"] == "cpu" and offers["jobs"] == cores and offers["gpus"] == []


@pytest.mark.parametrize(
    "name, visible, gpus, jobs",
    [
        ("cuda", None, ["0", "1", "2"], 3),
        ("cuda", "4,GPU-7,5", ["4", "GPU-7", "5"], 3),
        ("cuda", "0,2,1,-1,7", ["0", "2", "1"], 3),  # CUDA sees none from the first on that is no GPU
        ("cuda:1", None, [], 1),
    ],
)
def test_every_gpu_takes_one_run_and_a_named_one_takes_them_all(monkeypatch, name, visible, gpus, jobs):
    """GPUs are counted where the environment names none; the workers see one each."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.offers(torch.device(name)) == {"device": name, "bfloat16": True, "jobs": jobs, "gpus": gpus}


def test_the_record_says_what_a_result_depends_on():
    versions, here = machine.describe(torch.device("cpu"))
    assert torch.__version__.startswith(versions["torch"].split("+")[0])
    assert tuple(here) == machine.MACHINE and here["device"] == "cpu" and here["threads"] == torch.get_num_threads()


@pytest.mark.parametrize(
    "script, train, arguments",
    [
        (ex2a_vanishing, partial(ex2a_vanishing.carry_out, shared={"data": "stand-in"}), ex2a_vanishing.RUNS[0]),
        (ex2a_vanishing, ex2a_vanishing.by_depth, ("stand-in",)),
        (ex2b_adam, partial(ex2b_adam.train, shared={"data": "stand-in"}), (ex2b_adam.ARMS[0], 0)),
    ],
)
def test_a_device_that_is_full_is_one_line(monkeypatch, script, train, arguments):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(data, "again", full)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    with pytest.raises(OSError, match=f"out of memory on cpu with batches of {script.BATCH_SIZE}"):
        train(*arguments, settings=script.Settings(quick=True))


def test_a_package_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(OSError, match="torch is not installed. pip install -r requirements.txt"):
        machine.describe(torch.device("cpu"))


def test_auto_is_cuda_where_it_works(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.device("auto").type == "cpu"
