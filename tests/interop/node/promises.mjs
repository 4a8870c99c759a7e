// A real HTTP and Socket.IO server that keeps its promises, or breaks just the one that argv (JSON) names. It counts
// what it did under /_counts. Prints its port, then serves until stdin ends.
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { Server } from "socket.io";

const wish = JSON.parse(process.argv[2] ?? "{}");
const { requests = 30, windowMs = 5000, pingInterval = 300 } = wish;
const counts = { health: 0, slow: 0, admitted: {}, refused: {}, dashboards: 0, people: {}, logins: 0, resets: 0, connects: 0, closed: 0, rejected: 0 };
const windows = new Map();
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const tokens = new Map();

function say(response, status, body, headers = {}) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...headers });
  response.end(text);
}

// So many in a window that begins with the first, for each person; `refuseAt`: fewer. `everybody`: one window for all.
function refusal(person) {
  const key = wish.everybody ? "everybody" : person;
  const now = Date.now();
  let window = windows.get(key);
  if (!window || now >= window.ends + (wish.lateMs ?? 0)) windows.set(key, (window = { ends: now + windowMs, used: 0 }));
  window.used += 1;
  const refused = window.used > (wish.refuseAt ?? requests);
  const counted = refused ? counts.refused : counts.admitted;
  counted[person] = (counted[person] ?? 0) + 1;
  return refused ? Math.ceil((window.ends - now) / 1000) : null;
}

const server = createServer(async (request, response) => {
  for await (const _ of request);
  if (request.url === "/_counts") return say(response, 200, counts);
  if (request.url === "/health") {
    counts.health += 1;
    if (wish.slowHealthMs && counts.health % wish.slowHealthEvery === 0) {
      counts.slow += 1;
      await later(wish.slowHealthMs);
    }
    return say(response, 200, { status: "ok" });
  }
  if (request.url === "/login") {
    counts.logins += 1;
    const token = randomBytes(24).toString("base64url");
    tokens.set(token, `person ${tokens.size + 1}`);
    return say(response, 200, { accessToken: token });
  }
  const person = tokens.get((request.headers.authorization ?? "").replace("Bearer ", ""));
  if (!person) return say(response, 401, { error: "who are you?" });
  if (request.url === "/limited") {
    const retry = refusal(person);
    if (retry === null) return say(response, 200, { ok: true });
    return say(response, 429, { error: "too many" }, wish.retryAfter === false ? {} : { "Retry-After": retry });
  }
  counts.dashboards += 1;
  counts.people[person] = (counts.people[person] ?? 0) + 1;
  if (wish.resetEvery && counts.dashboards % wish.resetEvery === 0) {
    counts.resets += 1;
    return request.socket.resetAndDestroy();
  }
  say(response, 200, { figures: [1, 2, 3] });
});

const io = new Server(server, { pingInterval, pingTimeout: 20000 });
io.of("/live").use(async (socket, next) => {
  if (!tokens.has(socket.handshake.auth.token)) return next(new Error("who are you?"));
  counts.connects += 1;
  if (wish.rejectEvery && counts.connects % wish.rejectEvery === 0) {
    counts.rejected += 1;
    return next(new Error("no room"));
  }
  next();
});
io.of("/live").on("connection", (socket) => {
  if (!wish.closeEvery || counts.connects % wish.closeEvery) return;
  setTimeout(() => { counts.closed += 1; socket.conn.close(); }, 200);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
