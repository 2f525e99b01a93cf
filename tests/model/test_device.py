"""Devices and memory: against the system's own numbers, and against made-up systems."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.model import containers
from bert_demo.model import device as hardware

CPU = torch.device("cpu")
GB = 10**9


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Linux whose /proc and /sys/fs/cgroup lie in a folder."""
    if sys.platform != "linux":
        pytest.skip("control groups are Linux's")
    monkeypatch.setattr(containers, "_OWN_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(containers, "_CGROUP", tmp_path / "cgroup")
    yield tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_auto_takes_the_fastest_kind(
    no_gpu: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    assert hardware.pick_device("auto") == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert hardware.pick_device("auto").type == "mps"
    request.getfixturevalue("two_gpus")
    assert hardware.pick_device("auto").type == "cuda"
    assert hardware.pick_device("cuda:1") == torch.device("cuda:1")
    assert hardware.pick_device("cpu") == CPU


def test_device_that_is_not_there(no_gpu: None) -> None:
    for name in ("cuda", "mps", "cuda:0"):
        with pytest.raises(UserError, match=f"{name!r}, which torch does not find.*: cpu\\.$"):
            hardware.pick_device(name)


def test_gpu_number_that_is_not_there(two_gpus: None) -> None:
    with pytest.raises(UserError, match="it finds: cuda:0, cuda:1, cpu"):
        hardware.pick_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "meta", "cuda:99999999"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UserError, match="it must be one of: auto, cpu, cuda, mps"):
        hardware.pick_device(name)


def test_memory_of_this_computer() -> None:
    free, total = hardware.memory_bytes(CPU)
    assert 0 < free <= total
    assert total == hardware.total_memory_bytes()
    if sys.platform != "win32":
        assert total <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert total > 256 * 2**20


def test_peak_memory_is_at_least_what_is_held_now() -> None:
    peak = hardware.peak_memory_bytes(CPU)
    assert 20 * 2**20 < peak < 2**42
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        now = int(status.split("VmRSS:")[1].split()[0]) * 1024
        assert hardware.peak_memory_bytes(CPU) >= now * 0.95  # the kernel counts in batches


def test_memory_of_a_gpu(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * GB, 16 * GB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T4")
    assert hardware.memory_bytes(torch.device("cuda:1")) == (3 * GB, 16 * GB)
    assert hardware.device_name(torch.device("cuda:1")) == "NVIDIA T4"


def test_container_limit_version_2(system: Path) -> None:
    write(system / "groups", "0::/user/job\n")
    write(system / "cgroup" / "user" / "job" / "memory.max", "max\n")
    write(system / "cgroup" / "user" / "memory.max", "50000000\n")
    write(system / "cgroup" / "user" / "memory.current", "40000000\n")
    write(system / "cgroup" / "user" / "memory.stat", "anon 1\ninactive_file 25000000\nx 2\n")
    assert hardware.total_memory_bytes() == 50_000_000
    assert hardware.available_memory_bytes() == 35_000_000
    write(system / "cgroup" / "user" / "memory.current", "90000000\n")
    assert hardware.available_memory_bytes() == 0


def test_container_limit_version_1(system: Path) -> None:
    write(system / "groups", "9:name=systemd:/\n4:memory:/docker/abc\n0::/\n")
    folder = system / "cgroup" / "memory"  # a container sees its own group as the root
    write(folder / "memory.limit_in_bytes", "60000000\n")
    write(folder / "memory.usage_in_bytes", "20000000\n")
    assert hardware.total_memory_bytes() == 60_000_000
    assert hardware.available_memory_bytes() == 40_000_000


def test_no_limit(system: Path) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert hardware.total_memory_bytes() == total
    meminfo = Path("/proc/meminfo").read_text()
    now = int(meminfo.split("MemAvailable:")[1].split()[0]) * 1024
    assert hardware.available_memory_bytes() == pytest.approx(now, rel=0.2)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
    ],
)
def test_usable_cores(
    system: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    write(system / "groups", "0::/\n")
    for name, text in files.items():
        write(system / "cgroup" / name, text)
    assert hardware.usable_cores() == cores


def test_usable_cores_version_1(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    write(system / "groups", "3:cpu,cpuacct:/\n2:cpuset:/\n")
    write(system / "cgroup" / "cpu,cpuacct" / "cpu.cfs_quota_us", "300000\n")
    write(system / "cgroup" / "cpu,cpuacct" / "cpu.cfs_period_us", "100000\n")
    assert hardware.usable_cores() == 3
    write(system / "cgroup" / "cpu,cpuacct" / "cpu.cfs_quota_us", "-1\n")
    assert hardware.usable_cores() == 8


def test_bf16_is_measured_once_and_leaves_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    hardware.bf16_speedup.cache_clear()
    ratio = hardware.bf16_speedup("cpu")
    assert ratio > 0
    assert hardware.bf16_speedup("cpu") == ratio
    assert hardware.fast_bf16(CPU) == (ratio >= 1.3)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("times", "ratio"),
    [
        ({128: (1.0, 1.0), 512: (3.0, 1.5)}, 2.0),
        ({128: (1.0, 4.0)}, 0.25),  # so slow that the large product is not tried
    ],
)
def test_bf16_ratio(
    monkeypatch: pytest.MonkeyPatch, times: dict[int, tuple[float, float]], ratio: float
) -> None:
    monkeypatch.setattr(hardware, "product_seconds", lambda device, size: times[size])
    hardware.bf16_speedup.cache_clear()
    assert hardware.bf16_speedup("cpu") == ratio
    assert hardware.fast_bf16(CPU) is (ratio >= 1.3)
    hardware.bf16_speedup.cache_clear()


def test_bf16_that_the_device_refuses() -> None:
    assert hardware.bf16_speedup("no such device") == 0.0
