// Socket.IO 2's client, which speaks Engine.IO 3. argv: URL, JSON options for it. Prints as client.mjs does.
import io from "socket.io-client-v2";

const [url, options] = [process.argv[2], JSON.parse(process.argv[3] ?? "{}")];
const say = (what, namespace, ...rest) => console.log(JSON.stringify({ what, namespace, rest }, (_, value) =>
  value?.type === "Buffer" ? { bytes: value.data } : value));
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const socket = io(url, { reconnection: false, forceNew: true, ...options });
const onevent = socket.onevent; // it has no onAny
socket.onevent = function (packet) {
  say("received", "/", ...packet.data);
  onevent.call(this, packet);
};
socket.on("question", (n, ack) => ack({ answer: n + 1 }));
const emit = (...args) => { say("sent", "/", ...args); socket.emit(...args); };
const ask = async (...args) => {
  say("sent", "/", ...args);
  say("acked", "/", ...(await new Promise((resolve) => socket.emit(...args, (...got) => resolve(got)))));
};
socket.on("connect_error", (error) => { say("error", "", String(error)); process.exit(1); });
await new Promise((resolve) => socket.on("connect", resolve));
say("connected", "/");
if (options.settle) await later(options.settle);
emit("echo", "text with \u0000 and \u2028 and 🎬", { a: [1, 2.5, -3e21], b: null });
await ask("echo", "acknowledge", 7);
await ask("blob", Buffer.from([0, 1, 2, 253, 254, 255]));
emit("echo", { nested: { file: Buffer.from("attachment one") } }, Buffer.from("two"));
emit("push", 25);
const thanks = new Promise((resolve) => socket.once("thanks", resolve));
emit("ask-me");
emit("room", "lobby");
await thanks;
await ask("echo", "the last word");
say("end", "", socket.io.engine.transport.name);
socket.disconnect();
await later(400); // what it says last is on its way
process.exit(0);
