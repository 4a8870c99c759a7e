// A plain WebSocket client (Node's ws). argv: URL, JSON options. It answers what the server says, and at the end closes
// with a code of its own, or has the server close.
import { createRequire } from "node:module";

const { WebSocket } = createRequire(import.meta.url)("ws");
const [url, options] = [process.argv[2], JSON.parse(process.argv[3] ?? "{}")];
const socket = new WebSocket(`${url.replace("http", "ws")}/live?room=7`, ["chat.v1", "chat.v2"]);
let session;
socket.on("message", (content, isBinary) => {
  if (isBinary) {
    if (options.kicked) socket.send(JSON.stringify({ type: "bye", session }));
    else socket.close(4001, "enough");
    return;
  }
  const told = JSON.parse(content.toString());
  if (told.type === "welcome") {
    session = told.session;
    socket.send(JSON.stringify({ type: "hello", session, text: "grüß dich 🎬" }));
  } else if (told.type === "ready") {
    socket.ping("are you there");
    socket.send(Buffer.from([0, 1, 2, 253, 254, 255]));
  }
});
socket.on("close", () => process.exit(0));
