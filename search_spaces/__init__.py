"""Networks as graphs, the spaces they are drawn from, and published networks by name."""

from search_spaces.attention_condenser import AttentionCondenser
from search_spaces.bc_resnet import BcResNet
from search_spaces.builder import GraphBuilder
from search_spaces.ds_cnn import DsCnn
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd
from search_spaces.geometry import Padding, window
from search_spaces.graph import INPUT, Graph
from search_spaces.inverted_residual import InvertedResidual
from search_spaces.ops import (
    Activation,
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Op,
    Scale,
    Shape,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)
from search_spaces.published import PublishedNetwork, network, network_names, published_network, with_classes
from search_spaces.space import Choice, SearchSpace, Value, get_space, register_space, space_names

__all__ = [
    "INPUT",
    "Activation",
    "Add",
    "AttentionCondenser",
    "AvgPool",
    "BcResNet",
    "Choice",
    "Conv2D",
    "DepthwiseConv2D",
    "DsCnn",
    "Features",
    "FrontEnd",
    "FullyConnected",
    "Graph",
    "GraphBuilder",
    "InvertedResidual",
    "MaxPool",
    "Mul",
    "NasError",
    "Op",
    "Padding",
    "PublishedNetwork",
    "Scale",
    "SearchSpace",
    "Shape",
    "Sigmoid",
    "Softmax",
    "UpsampleNearest",
    "Value",
    "get_space",
    "network",
    "network_names",
    "published_network",
    "register_space",
    "space_names",
    "window",
    "with_classes",
]
