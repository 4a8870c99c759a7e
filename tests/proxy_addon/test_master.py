"""The lean master: what of mitmproxy it leaves out. In a process of its own: mitmproxy's imports warn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio
from mitmproxy.connection import Client
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionHandler
from proxy_addon.addon import NestperfAddon
from proxy_addon.listen import Listener
from proxy_addon.master import LeanMaster
from proxy_addon.trust import Trust

class Handler(ConnectionHandler):
    async def handle_hook(self, hook):
        pass

async def main():
    listener = Listener(url="http://127.0.0.1:1", hosts=("127.0.0.1",), port=2)
    master = LeanMaster([listener], NestperfAddon([]), lambda: None, trust=Trust(), authority=None, keys=False)
    client = Client(peername=("127.0.0.1", 3), sockname=("127.0.0.1", 2), timestamp_start=0.0,
                    proxy_mode=ProxyMode.parse("relay:0@127.0.0.1:2"))
    print(Handler(Context(client, master.options)).timeout_watchdog.timeout)

asyncio.run(main())
"""


def test_silent_connections_are_left_to_their_two_ends() -> None:
    """An event stream may be silent for hours; mitmproxy would close it after ten minutes."""
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, cwd=root)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 365 * 24 * 3600
