"""mitmproxy's master and the few of its addons that the recorder is made of, without the others: their package imports
every one of them, with a web framework and an LDAP client, which is a third of the time until a recorder listens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec


@contextmanager
def _modules_alone(package: str) -> Iterator[None]:
    """Import modules of a package whose own code is not run, and is when somebody imports the package later."""
    if package in sys.modules:
        yield
        return
    spec = find_spec(package)
    assert spec is not None, package
    sys.modules[package] = module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[package]


with _modules_alone("mitmproxy.addons"):
    from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
    from mitmproxy.master import Master

__all__ = ["Master", "core", "next_layer", "proxyserver", "tlsconfig"]
