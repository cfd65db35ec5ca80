"""Published networks by name: the points of reference that users know."""

from search_spaces.published import bc_resnet, ds_cnn, mobilenet, resnet, tinyspeech, vgg
from search_spaces.published.registry import (
    Claims,
    PublishedNetwork,
    impossible_networks,
    network,
    network_names,
    published,
    published_network,
    with_classes,
)

__all__ = [
    "Claims",
    "PublishedNetwork",
    "bc_resnet",
    "ds_cnn",
    "impossible_networks",
    "mobilenet",
    "network",
    "network_names",
    "published",
    "published_network",
    "resnet",
    "tinyspeech",
    "vgg",
    "with_classes",
]
