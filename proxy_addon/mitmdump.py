"""The recorder inside stock mitmproxy, beside whatever else runs there:
`mitmdump -s .../proxy_addon/mitmdump.py --mode reverse:http://127.0.0.1:4000@8400 --set nestperf_output=qa.db`.

Its own options say whom to trust (`ssl_verify_upstream_trusted_ca`, `ssl_insecure`) and where its certificate authority
is (`confdir`). Each port takes clients with and without TLS.
"""

from __future__ import annotations

from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from nestperf.capture.files import check_writable, default_output
from nestperf.capture.model import Upstream
from proxy_addon.addon import NestperfAddon
from proxy_addon.spool import recorder_command


class StockAddon(NestperfAddon):
    """The addon, told by mitmproxy's options what to record and where to."""

    def load(self, loader: Loader) -> None:
        """Declare the option."""
        loader.add_option("nestperf_output", str, "", "Capture to write; default nestperf-<date>.db.")

    async def running(self) -> None:
        """The listeners are up: start the recorder."""
        path = Path(ctx.options.nestperf_output) if ctx.options.nestperf_output else default_output()
        check_writable(path)
        upstreams = [
            Upstream(
                f"{mode.scheme}://{mode.address[0]}:{mode.address[1]}",
                listen=f"127.0.0.1:{mode.listen_port(ctx.options.listen_port)}",
            )
            for mode in map(ProxyMode.parse, ctx.options.mode)
            if isinstance(mode, ReverseMode)
        ]
        self._recorder = recorder_command(path, upstreams)
        await super().running()


addons = [StockAddon(())]
