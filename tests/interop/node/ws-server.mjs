// A plain WebSocket server (Node's ws). argv: JSON options. Prints its port, then a JSON line for everything it was
// told, until stdin ends. It welcomes everybody with a session of their own, and takes no message without it.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(import.meta.url)("ws");
const options = JSON.parse(process.argv[2] ?? "{}");
const say = (line) => console.log(JSON.stringify(line));
const choose = (offered) => [...offered].find((name) => name === (options.subprotocol ?? "chat.v2")) ?? false;
const http = createServer();
const server = new WebSocketServer({ server: http, handleProtocols: choose });

server.on("connection", (socket) => {
  const session = randomBytes(12).toString("hex");
  const later = (answer) => setTimeout(answer, options.delay ?? 0);
  socket.send(JSON.stringify({ type: "welcome", session }));
  socket.on("ping", (payload) => say({ ping: payload.toString() }));
  socket.on("message", (content, isBinary) => {
    if (isBinary) {
      say({ binary: [...content] });
      later(() => socket.send(Buffer.from([...content].reverse())));
      return;
    }
    const told = JSON.parse(content.toString());
    say({ ...told, right: told.session === session });
    if (told.type === "hello") later(() => socket.send(JSON.stringify({ type: "ready", n: 1 })));
    if (told.type === "bye") socket.close(options.code ?? 4002, "as you wish");
  });
  socket.on("close", (code, reason) => say({ closed: code, reason: reason.toString(), protocol: socket.protocol }));
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
