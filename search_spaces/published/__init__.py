"""Published networks by name: the points of reference that users know."""

from search_spaces.published import ds_cnn, resnet
from search_spaces.published.registry import PublishedNetwork, network, network_names, published, published_network

__all__ = [
    "PublishedNetwork",
    "ds_cnn",
    "network",
    "network_names",
    "published",
    "published_network",
    "resnet",
]
