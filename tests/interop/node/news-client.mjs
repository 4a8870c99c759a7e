// Someone who watches the news, asks for them and sends messages. argv: URL, JSON options for the manager.
import { io } from "socket.io-client";

const [url, options] = [process.argv[2], JSON.parse(process.argv[3] ?? "{}")];
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const socket = io(url, { reconnection: false, forceNew: true, ...options });
const heard = (event) => new Promise((resolve) => socket.once(event, resolve));
await heard("connect");
if (options.settle) await later(options.settle);
const subscribed = heard("subscribed");
socket.emit("subscribe:news", {});
await subscribed;
await later(300);
for (let n = 0; n < 2; n += 1) {
  const news = heard("news");
  socket.emit("refresh");
  await news;
  await later(300);
}
for (const told of ["first", "second"]) {
  const news = heard("news");
  const headers = { "Content-Type": "application/json" };
  await fetch(`${url}/api/news`, { method: "POST", headers, body: JSON.stringify({ told }) });
  await news;
  await later(300);
}
for (const id of [1, 2, 3]) {
  const answer = heard("test-response");
  socket.emit("test-message", { id, text: "hello" });
  await answer;
  await later(200);
}
socket.disconnect();
await later(200);
process.exit(0);
