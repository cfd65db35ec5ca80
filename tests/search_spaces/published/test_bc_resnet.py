"""BC-ResNet's published counts, of the variant with plain BatchNorm and of the whole family."""

from __future__ import annotations

import pytest

from search_spaces import BcResNet, Graph, GraphBuilder, NasError, network, network_names, published_network
from search_spaces.counting import count
from search_spaces.published.bc_resnet import bc_resnet_choices

# The paper's table 1: blocks, frequency stride and dilation per stage.
BLOCKS, STRIDES, DILATIONS = (2, 2, 4, 4), (1, 2, 2, 1), (1, 2, 4, 8)


def family(tau: float, frames: int = 98) -> tuple[Graph, list[int]]:
    """BC-ResNet-tau with plain BatchNorm, and its widths per stage."""
    base = int(8 * tau)
    widths = [base, int(base * 1.5), base * 2, int(base * 2.5)]
    stages = list(zip(BLOCKS, widths, STRIDES, DILATIONS, strict=True))
    builder = GraphBuilder((frames, 40, 1))
    # Not through build(): most widths of the family are none of the space's.
    BcResNet((frames, 40, 1), 12).layers(builder, bc_resnet_choices((5, 2 * base, 1, 2), stages, head=4 * base))
    return builder.build(), widths


def test_the_network() -> None:
    graph = network("bc-resnet-1-bn")
    assert (graph.input_shape, graph.output_shape) == ((98, 40, 1), (1, 1, 12))
    assert graph.digest == family(1)[0].digest
    kinds = [op.kind for op in graph.ops]
    # 12 blocks, four of them transitions; a normal block adds twice.
    assert kinds.count("Add") == 4 + 2 * 8
    assert kinds.count("DepthwiseConv2D") == 2 * 12 + 1
    assert kinds.count("Conv2D") == 1 + 4 + 12 + 1
    # Per stage frames x frequencies x channels, as the paper's table 1.
    outputs = [graph.shapes[op.output] for op in graph.ops if op.kind == "Add"]
    assert list(dict.fromkeys(outputs)) == [(98, 20, 8), (98, 10, 12), (98, 5, 16), (98, 5, 20)]
    # Weights of stem, transitions, blocks (3 + 3 taps, pointwise), tail, head and classifier; then biases.
    blocks = [(n, c) for n, c in zip(BLOCKS, (8, 12, 16, 20), strict=True)]
    weights = 25 * 16 + (16 * 8 + 8 * 12 + 12 * 16 + 16 * 20) + sum(n * (6 * c + c * c) for n, c in blocks)
    weights += 25 * 20 + 20 * 32 + 32 * 12
    biases = 16 + (8 + 12 + 16 + 20) + sum(n * 3 * c for n, c in blocks) + 20 + 32 + 12
    assert (weights, graph.params) == (6_804, weights + biases)


@pytest.mark.parametrize(
    ("tau", "params", "mult"),
    # Table 3 of the paper: thousands of parameters, millions of multiplications.
    [(1, 9.2, 3.1), (1.5, 17.2, 5.5), (2, 27.3, 8.5), (3, 54.2, 16.2), (6, 188, 53.1), (8, 321, 89.1)],
)
def test_the_papers_counts(tau: float, params: float, mult: float) -> None:
    graph, widths = family(tau)
    counts = count(graph, "bc-resnet")
    assert round(counts.macs / 1e6, 1) == mult
    # Sub-spectral normalisation has ten numbers per channel where BatchNorm has two, once in every block.
    normalised = counts.params + sum(8 * n * c for n, c in zip(BLOCKS, widths, strict=True))
    assert round(normalised / 1e3, 1 if params < 100 else 0) == params


def test_the_variant_is_the_papers_ablation_without_sub_spectral_norm() -> None:
    counts = count(network("bc-resnet-1-bn"), "bc-resnet")
    assert (round(counts.params / 1e3, 1), round(counts.macs / 1e6, 1)) == (7.8, 3.1)  # table 2, "w/o SSN"
    # With 101 frames, which a centred spectrogram has, the count would not be the published one.
    assert round(count(family(1, 101)[0], "bc-resnet").macs / 1e6, 1) == 3.2


def test_the_original_cannot_be_built_and_says_why() -> None:
    assert "bc-resnet-1" not in network_names()
    for ask in (network, published_network):
        with pytest.raises(
            NasError, match=r"'bc-resnet-1' cannot be built: .*accepted is 'bc-resnet-1-bn', the variant"
        ):
            ask("bc-resnet-1")
