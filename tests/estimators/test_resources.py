from __future__ import annotations

import json

import numpy as np
import pytest

from estimators import QUANTITIES, Resources, estimate, load_target, lower, target_names
from estimators.kinds import check_kind, weakest
from search_spaces import GraphBuilder, get_space, network

STABLE = ("params", "macs", "sram_bytes", "flash_bytes", "weights_bytes", "cycles", "seconds", "joules")
"""What commands print as JSON; renaming one breaks its readers."""


def _estimate(name: str, target: str = "stm32l4r9") -> Resources:
    return estimate(lower(network(name), load_target(target)))


def test_keyword_network() -> None:
    target, used = load_target("stm32l4r9"), _estimate("mlperf-kws-dscnn")
    assert used.macs == 2_656_768
    assert used.params == 22_604
    assert 8_000 < used.arena_bytes <= 10_000
    assert used.weights_bytes == 22_016
    assert used.stack_bytes == max(target.stack.kernels[k] for k in ("conv2d_s8", "pointwise_s8", "depthwise3_s8"))
    assert used.sram_bytes == used.arena_bytes + used.stack_bytes + target.data.bytes
    assert used.flash_bytes == used.weights_bytes + used.bias_bytes + used.table_bytes + used.code_bytes
    assert used.seconds == used.cycles / 120e6
    assert used.joules == pytest.approx(used.seconds * 0.042)


def test_residual_network() -> None:
    used = _estimate("mlperf-ic-resnet8")
    assert used.macs == 12_501_632
    assert 2 * 16_384 < used.arena_bytes <= 36_000


@pytest.mark.parametrize("target", target_names())
def test_every_number_has_a_kind(target: str) -> None:
    used = _estimate("cifar-lite", target)
    assert set(used.kinds) == set(QUANTITIES)
    for kind in used.kinds.values():
        check_kind(kind)
    for name in ("params", "macs", "arena_bytes", "weights_bytes", "bias_bytes", "table_bytes"):
        assert used.kinds[name] == "exact"
    assert used.kinds["joules"] == weakest(used.kinds["seconds"], load_target(target).power[0].kind)


def test_only_the_cortex_has_a_fit() -> None:
    on_cortex, on_xtensa = _estimate("cifar-lite"), _estimate("cifar-lite", "esp32s2")
    for name in ("cycles", "seconds", "joules", "flash_bytes"):
        assert on_cortex.kinds[name].startswith("fitted (± ")
        what = "estimate (unverified)" if name == "joules" else "estimate (unverified conversion)"
        assert on_xtensa.kinds[name] == what


def test_to_dict_is_plain_json_with_stable_names() -> None:
    used = _estimate("mlperf-kws-dscnn")
    data = json.loads(json.dumps(used.to_dict()))
    assert list(data) == [*QUANTITIES, "kinds"]
    assert set(STABLE) <= set(data)
    for name in QUANTITIES:
        assert data[name] == getattr(used, name)
    assert all(isinstance(data[name], int) for name in QUANTITIES if name not in ("seconds", "joules"))


def test_one_network_costs_the_same_twice() -> None:
    assert _estimate("cifar-lite") == _estimate("cifar-lite")


def test_time_follows_the_clock() -> None:
    for name in target_names():
        used = _estimate("cifar-lite", name)
        assert used.seconds * load_target(name).clock_hz == pytest.approx(used.cycles)


def test_wider_networks_never_cost_less() -> None:
    def used(width: int) -> Resources:
        builder = GraphBuilder((12, 12, 3))
        x = builder.conv(builder.input, width, 3, 2)
        x = builder.add(x, builder.conv(builder.depthwise(x), width))
        builder.dense(builder.global_avg_pool(x), 10)
        return estimate(lower(builder.build(), load_target("stm32l4r9")))

    for width in range(2, 20):
        for name in ("params", "macs", "sram_bytes", "flash_bytes", "weights_bytes"):
            assert getattr(used(width + 1), name) >= getattr(used(width), name), (name, width)
    # Kernels compute four channels together: what is left over costs more than a group that is full.
    for width in range(4, 20, 4):
        for name in QUANTITIES:
            assert getattr(used(width + 4), name) >= getattr(used(width), name), (name, width)


def test_random_networks_cost_at_least_what_cannot_be_avoided() -> None:
    space = get_space("ds_cnn", (16, 16, 3), 10)
    for row in space.draw(np.random.default_rng(11), 60):
        graph = space.build(space.decode(row))
        used = estimate(lower(graph, load_target("stm32l4r9")))
        assert used.sram_bytes >= max(h * w * c for h, w, c in graph.shapes.values())
        assert used.flash_bytes > used.params
        assert used.cycles > used.macs
