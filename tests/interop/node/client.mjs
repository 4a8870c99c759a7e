// A real Socket.IO client for the tests. argv: URL, JSON options for the manager. Plays one visit and prints a JSON line
// for everything it sent and saw, in order.
import { Manager } from "socket.io-client";

const [url, options] = [process.argv[2], JSON.parse(process.argv[3] ?? "{}")];
const say = (what, namespace, ...rest) => console.log(JSON.stringify({ what, namespace, rest }, (_, value) =>
  value?.type === "Buffer" ? { bytes: value.data } : value));
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const manager = new Manager(url, { reconnection: false, forceNew: true, ...options });
manager.on("error", (error) => say("error", "", String(error)));

const auths = {}; // the manager keeps one socket a namespace, and with it the auth it was first given
async function visit(namespace, auth) {
  auths[namespace] = auth;
  const socket = manager.socket(namespace, { auth: (give) => give(auths[namespace]) });
  socket.offAny();
  socket.onAny((...args) => say("received", namespace, ...args.filter((arg) => typeof arg !== "function")));
  socket.on("question", (n, ack) => ack({ answer: n + 1 }));
  const emit = (...args) => { say("sent", namespace, ...args); socket.emit(...args); };
  const ask = async (...args) => {
    say("sent", namespace, ...args);
    say("acked", namespace, ...(await new Promise((resolve) => socket.emit(...args, (...got) => resolve(got)))));
  };
  const fate = await new Promise((resolve) => {
    socket.once("connect", () => resolve("connected"));
    socket.once("connect_error", (error) => resolve(`refused: ${error.message} ${JSON.stringify(error.data)}`));
  });
  say(fate, namespace);
  if (fate !== "connected") return;
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
  return socket;
}

const root = await visit("/", undefined);
await visit("/media", { token: "wrong" });
const media = await visit("/media", { token: "let-me-in-please" });
media?.disconnect();
await later(50);
if (options.kicked) { root.emit("kick"); say("sent", "/", "kick"); await later(100); } else root?.disconnect();
await later(400); // what it says last is on its way
say("end", "", manager.engine.transport.name);
process.exit(0);
