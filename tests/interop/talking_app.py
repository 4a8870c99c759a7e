"""A small application that does what imports have to keep: a page, an API, an image, Socket.IO, a plain WebSocket."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

SERVER = r"""
import asyncio, socketio
from aiohttp import web

PAGE = '''<html><body><script>
async function go() {
  const api = (path, options) => fetch(path, options).then(answer => answer.text());
  await api('/api/login', {method: 'POST', headers: {'Content-Type': 'application/json'},
                           body: JSON.stringify({user: 'ann', password: 'canary-password-4711'})});
  await api('/api/items/17?token=canary-query-4711', {headers: {Authorization: 'Bearer canary-bearer-4711'}});
  await api('/picture.png');
  await api('/nowhere');
  const live = new WebSocket('ws://' + location.host + '/socket.io/?EIO=4&transport=websocket');
  const coming = [], waiting = [];
  live.onmessage = message => { const next = waiting.shift(); next ? next(message.data) : coming.push(message.data); };
  const next = () => new Promise(done => coming.length ? done(coming.shift()) : waiting.push(done));
  await next();
  live.send('40{"token":"canary-socket-4711"}');
  await next();
  live.send('421["hello",{"a":1}]');
  await next(); await next(); await next();
  const plain = new WebSocket('ws://' + location.host + '/plain');
  await new Promise(done => plain.onopen = done);
  const answered = new Promise(done => plain.onmessage = done);
  plain.send(new Uint8Array([9, 8, 255]));
  await answered;
  document.title = 'done';
}
go();
</script></body></html>'''

sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")

@sio.event
async def connect(sid, environ, auth):
    return auth == {"token": "canary-socket-4711"}

@sio.event
async def hello(sid, told):
    await sio.emit("news", {"bytes": b"\1\2"}, to=sid)
    return "ack"

async def page(request):
    answer = web.Response(text=PAGE, content_type="text/html")
    answer.set_cookie("sid", "canary-cookie-4711")
    answer.enable_compression()
    return answer

async def login(request):
    await request.read()
    return web.json_response({"accessToken": "canary-access-4711"}, headers={"Server-Timing": "db;dur=3.5"})

async def items(request):
    await asyncio.sleep(0.1)
    return web.json_response([{"id": number} for number in range(100)])

async def picture(request):
    return web.Response(body=bytes(range(256)), content_type="image/png")

async def plain(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str("got " + str(len(message.data)))
    return socket

async def main():
    app = web.Application()
    sio.attach(app)
    app.add_routes([web.get("/", page), web.post("/api/login", login), web.get("/api/items/17", items),
                    web.get("/picture.png", picture), web.get("/plain", plain)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def talking_app() -> Iterator[str]:
    """The address of a running one."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate(timeout=30)
