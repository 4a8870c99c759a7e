// Someone who stays: Socket.IO's client with its own reconnection, which subscribes whenever it is connected.
// argv: URL, JSON {stay: ms, once: whether it stays away after the first cut}. Prints one JSON line at its end.
import { get } from "node:http";
import { io } from "socket.io-client";

const [url, options] = [process.argv[2], JSON.parse(process.argv[3] ?? "{}")];
const told = { connects: 0, reasons: [] };
const socket = io(url, { transports: options.transports ?? ["websocket"], reconnectionDelay: 200 });
socket.on("connect", () => {
  told.connects += 1;
  socket.emit("subscribe:news", {});
});
socket.on("disconnect", (reason) => {
  told.reasons.push(reason);
  if (options.once) socket.disconnect();
});
// As the same client: Node's WebSocket says no User-Agent either.
const beat = options.once ? setInterval(() => get(`${url}/alive`).on("error", () => {}), 500) : 0;
setTimeout(() => {
  clearInterval(beat);
  socket.disconnect();
  console.log(JSON.stringify(told));
  setTimeout(() => process.exit(0), 200);
}, options.stay ?? 5000);
