"""Fetches files into a temporary folder under the data root; nothing remains of a failed attempt."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SECONDS = 30.0
"""Longest silence of the server: torchvision and torchaudio set no limit of their own."""


@contextlib.contextmanager
def download_folder(root: Path) -> Iterator[Path]:
    """A folder to download into, removed on leaving together with a data root made for it in vain.

    Raises OSError when it cannot be made.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    before = socket.getdefaulttimeout()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            socket.setdefaulttimeout(_SECONDS)
            yield Path(temporary)
    finally:
        socket.setdefaulttimeout(before)
        with contextlib.suppress(OSError):  # raised by the first folder that holds something: it stays
            for folder in made:
                folder.rmdir()


@contextlib.contextmanager
def download_archive(url: str, md5: str, root: Path) -> Iterator[Path]:
    """Path of the downloaded, checked archive, removed on leaving together with a data root made for it in vain.

    Raises OSError when it cannot be had or stored, RuntimeError when its MD5 differs.
    """
    from torchvision.datasets.utils import download_url

    with download_folder(root) as temporary:
        download_url(url, str(temporary), Path(url).name, md5)
        yield temporary / Path(url).name
