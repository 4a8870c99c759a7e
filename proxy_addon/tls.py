"""TLS on either side of the relay: mitmproxy's layers, which here say how a connection ended and speak HTTP/1.1 only.

mitmproxy's own `TlsConfig` makes certificates and contexts. The rule: what one side does the other side sees, so a
close_notify is passed on as one, and a connection that was cut off without one is cut off on the other side as well.
"""

from __future__ import annotations

import contextlib
from abc import ABCMeta, abstractmethod

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import tls as mitmproxy_tls
from OpenSSL import SSL

from proxy_addon.addons import tlsconfig
from proxy_addon.handshakes import PLAIN, clean

HTTP1 = b"http/1.1"
"""All that is offered and accepted (ALPN): HTTP/2 clients fall back to it."""


class CutOff(events.ConnectionClosed):
    """A TLS connection ended without the close_notify that says that nothing is missing (RFC 8446, 6.1)."""


class CutConnection(commands.CloseTcpConnection):
    """Close without a close_notify."""


def close(side: Connection, ended: events.ConnectionClosed, *, half_close: bool = False) -> commands.CloseTcpConnection:
    """The command that closes `side` the way the other side `ended`."""
    command = CutConnection if isinstance(ended, CutOff) else commands.CloseTcpConnection
    return command(side, half_close=half_close)


class Relay(layer.Layer, metaclass=ABCMeta):
    """What is inside."""

    @abstractmethod
    def handshake_failed(self, reason: str) -> None:
        """The client's handshake failed, nothing follows. No reason: the connection was never used."""


class _Endings(mitmproxy_tls.TLSLayer):
    """Says and passes on how a TLS connection ends, and tells the peer why its handshake failed."""

    def receive_close(self) -> layer.CommandGenerator[None]:
        if not self.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
            yield from self.event_to_child(CutOff(self.conn))

    def send_close(self, command: commands.CloseConnection) -> layer.CommandGenerator[None]:
        writable = self.conn.state & ConnectionState.CAN_WRITE
        if self.conn.tls_established and writable and not isinstance(command, CutConnection):
            with contextlib.suppress(SSL.Error):
                self.tls.shutdown()
            yield from self.tls_interact()
        yield from super().send_close(command)

    def on_handshake_error(self, err: str) -> layer.CommandGenerator[None]:
        if self.tls is not None:
            yield from self.tls_interact()  # the alert
        yield from super().on_handshake_error(err)


class UpstreamTls(_Endings, mitmproxy_tls.ServerTLSLayer):
    """Speaks TLS to the application, under the name that its address has."""

    def __init__(self, context: Context, host: str, inside: layer.Layer) -> None:
        super().__init__(context)
        self.child_layer = inside
        context.server.sni = host
        context.server.alpn_offers = (HTTP1,)


class ClientTls(_Endings, mitmproxy_tls.ClientTLSLayer):
    """Speaks TLS to the browser. The relay inside begins to reach the application at once, as the browser itself
    would, and not only after the handshake."""

    def __init__(self, context: Context, relay: Relay) -> None:
        super().__init__(context)
        self.child_layer = self._relay = relay
        context.client.alpn = HTTP1

    def event_to_child(self, event: events.Event) -> layer.CommandGenerator[None]:
        at_once = isinstance(event, events.Start | events.CommandCompleted)
        if at_once and self.tunnel_state is tunnel.TunnelState.ESTABLISHING:
            for command in self.child_layer.handle_event(event):
                yield from self._handle_command(command)
        else:
            yield from super().event_to_child(event)

    def start_server_tls(self) -> layer.CommandGenerator[str | None]:
        """The relay does it."""
        yield from ()
        return None

    def on_handshake_error(self, err: str) -> layer.CommandGenerator[None]:
        said = bytes(self.recv_buffer[:5])
        if self.client_hello_parsed or said:
            spoke_plain = not self.client_hello_parsed and not starts_like_tls_record(said)
            self._relay.handshake_failed(PLAIN if spoke_plain else clean(err))
        else:
            self._relay.handshake_failed("")  # a connection that a browser opened in advance and never used
        yield from super().on_handshake_error(err)


class RecorderTlsConfig(tlsconfig.TlsConfig):
    """mitmproxy's certificates and contexts; without `certificates` none are made for clients, and so no authority."""

    def __init__(self, *, certificates: bool) -> None:
        self._certificates = certificates

    def configure(self, updated: set[str]) -> None:
        """Options have changed; the authority's folder is among them."""
        if self._certificates:
            super().configure(updated)  # type: ignore[no-untyped-call]

    def running(self) -> None:
        """Nothing is left to do: `configure` was called with everything."""
