// A real Socket.IO server that keeps its promises about messages, broadcasts and returns, or breaks exactly one.
// To POST anything is a cause as `refresh` is. argv: JSON {fault}. Prints its port; when stdin ends, one JSON line with
// what it counted and stamped (CLOCK_MONOTONIC, nanoseconds as text).
//   drop-7     of all deliveries of a broadcast every 7th is left out
//   delay      the third watcher gets every broadcast 2 s late
//   twice-3    three messages are answered twice
//   lose       every fifth client that comes back is not subscribed, though it asks to be
//   again      who comes back gets the first event it had once more
import { createServer } from "node:http";
import { Server } from "socket.io";

const { fault = "", ...options } = JSON.parse(process.argv[2] ?? "{}");
const http = createServer((request, response) => {
  if (request.method !== "POST") return response.end();
  request.resume().on("end", () => {
    tell(); // before it is answered
    response.writeHead(201).end("{}");
  });
});
const io = new Server(http, options);
const counts = { deliveries: 0, dropped: 0, delayed: 0, messages: 0, answers: 0, twice: 0, lost: 0, again: 0 };
const causes = []; // [arrived, [sent to each, ...]]
const watchers = [];
const seen = new Map(); // by address: how often it subscribed
const first = new Map(); // by address: the first event it was sent, long before any cut
let broadcasts = 0;
let returned = 0;
const now = () => process.hrtime.bigint().toString();

function deliver(socket, news, stamps) {
  stamps.push(now());
  counts.deliveries += 1;
  const address = socket.handshake.address;
  if (!first.has(address)) first.set(address, news);
  socket.emit("news", { ...news, at: undefined });
}

function tell() {
  const stamps = [];
  causes.push([now(), stamps]);
  const news = { n: ++broadcasts };
  for (const [place, watcher] of watchers.entries()) {
    if (fault === "drop-7" && ++counts.tried % 7 === 0) counts.dropped += 1;
    else if (fault === "delay" && place === 2) {
      counts.delayed += 1;
      setTimeout(() => deliver(watcher, news, stamps), 2000);
    } else deliver(watcher, news, stamps);
  }
}

io.on("connection", (socket) => {
  const address = socket.handshake.address;
  socket.emit("welcome", { id: socket.id });
  socket.on("subscribe:news", () => {
    const before = seen.get(address) ?? 0;
    seen.set(address, before + 1);
    socket.emit("subscribed", { room: "news" });
    if (before && fault === "lose" && ++returned % 5 === 0) {
      counts.lost += 1;
      return;
    }
    watchers.push(socket);
    if (before && fault === "again" && first.has(address)) {
      counts.again += 1;
      socket.emit("news", first.get(address));
    }
  });
  socket.on("refresh", tell);
  socket.on("test-message", (message) => {
    counts.messages += 1;
    const times = fault === "twice-3" && [10, 100, 200].includes(counts.messages) ? 2 : 1;
    if (times > 1) counts.twice += 1;
    for (let n = 0; n < times; n += 1) {
      counts.answers += 1;
      socket.emit("test-response", { id: message.id, ok: true });
    }
  });
  socket.on("disconnect", () => {
    const place = watchers.indexOf(socket);
    if (place >= 0) watchers.splice(place, 1);
  });
});
counts.tried = 0;
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin
  .on("end", () => {
    console.log(JSON.stringify({ ...counts, broadcasts, causes }));
    process.exit(0);
  })
  .resume();
