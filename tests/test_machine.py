"""What a machine offers: threads of a processor, or its GPUs, shared out as the environment allows."""

import os

import pytest
import torch

from common import machine


def test_a_processor_takes_one_run_a_core():
    offers = machine.offers(torch.device("cpu"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert offers["device"] == "cpu" and offers["jobs"] == cores and offers["gpus"] == []


@pytest.mark.parametrize(
    "name, visible, gpus, jobs",
    [("cuda", None, ["0", "1", "2"], 3), ("cuda", "4,GPU-7", ["4", "GPU-7"], 2), ("cuda:1", None, [], 1)],
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


def test_auto_is_cuda_where_it_works(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.device("auto").type == "cpu"
