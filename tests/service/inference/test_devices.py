import pytest

from service.errors import DeviceError
from service.inference.devices import CPU, CUDA, TENSORRT, choose_device

ON_CPU = ("cpu", CPU, (CPU,))


def on_gpu(number: int) -> tuple[str, str, tuple[str, ...]]:
    return f"cuda:{number}", CUDA, (CUDA, CPU)


def by_tensorrt(number: int) -> tuple[str, str, tuple[str, ...]]:
    return f"tensorrt:{number}", TENSORRT, (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        ("auto", [CPU], ON_CPU),
        ("auto", ["AzureExecutionProvider", CPU], ON_CPU),
        ("auto", [TENSORRT, CUDA, CPU], on_gpu(0)),
        ("cpu", [CPU], ON_CPU),
        ("cpu", [CUDA, CPU], ON_CPU),
        ("cuda", [CUDA, CPU], on_gpu(0)),
        ("cuda:0", [CUDA, CPU], on_gpu(0)),
        ("cuda:3", [CUDA, CPU], on_gpu(3)),
        ("cuda:12", [CUDA, CPU], on_gpu(12)),
        ("tensorrt", [TENSORRT, CUDA, CPU], by_tensorrt(0)),
        ("tensorrt:2", [TENSORRT, CUDA, CPU], by_tensorrt(2)),
    ],
)
def test_a_device_is_chosen_by_name(asked: str, available: list[str], chosen: tuple[object, ...]) -> None:
    expected = chosen

    device = choose_device(asked, available)

    assert (device.name, device.provider, device.providers) == expected


@pytest.mark.parametrize(
    ("asked", "available", "required"),
    [("auto", [CPU], False), ("auto", [CUDA, CPU], False), ("cpu", [CPU], True), ("cuda", [CUDA, CPU], True)],
)
def test_only_a_device_that_was_named_is_required(asked: str, available: list[str], required: bool) -> None:
    expected = required

    device = choose_device(asked, available)

    assert device.required is expected


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "cuda:1", "tensorrt", "tensorrt:1"])
def test_a_gpu_that_the_runtime_can_not_use_is_refused(asked: str) -> None:
    available = ["AzureExecutionProvider", CPU]

    with pytest.raises(DeviceError) as refusal:
        choose_device(asked, available)

    assert str(refusal.value) == (
        f"device: expected a runtime that can use {asked}, got one with AzureExecutionProvider, CPUExecutionProvider; "
        "is onnxruntime-gpu installed?"
    )


@pytest.mark.parametrize(
    "asked",
    ["", "gpu", "CPU", "Auto", "cuda:", "cuda:-1", "cuda:x", "cuda:0,1", "cpu:0", "cuda:0 ", "cpu\n", "tensorrt:x"],
)
def test_a_name_of_no_device_is_refused(asked: str) -> None:
    available = [CUDA, CPU]

    with pytest.raises(DeviceError) as refusal:
        choose_device(asked, available)

    expected = "device: expected auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N, got"
    assert str(refusal.value) == f"{expected} {asked!r}"
