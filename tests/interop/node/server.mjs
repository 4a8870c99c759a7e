// A real Socket.IO server for the tests. argv: JSON options for `new Server`, and `tls`, a file of key and certificate.
// Prints its port, then serves until stdin ends.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { Server } from "socket.io";

const { tls, ...options } = JSON.parse(process.argv[2] ?? "{}");
const answer = (request, response) => response.end("plain");
const pem = tls && readFileSync(tls);
const http = tls ? createTlsServer({ key: pem, cert: pem }, answer) : createServer(answer);
const io = new Server(http, options);

function serve(socket) {
  socket.emit("hello", { id: socket.id, text: "grüß dich", n: 9007199254740993n.toString() });
  socket.on("echo", (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    if (ack) ack(...args);
    else socket.emit("echoed", ...args);
  });
  socket.on("blob", (blob, ack) => ack(Buffer.from([...blob].reverse()), "done"));
  socket.on("push", (count) => {
    for (let n = 0; n < count; n++) socket.emit("pushed", n, { deep: [n, null, true] });
  });
  socket.on("ask-me", () => socket.emit("question", 42, (answer) => socket.emit("thanks", answer)));
  socket.on("room", (name) => { socket.join(name); io.of(socket.nsp.name).to(name).emit("joined-room", name); });
  socket.on("kick", () => socket.disconnect(true));
}

io.on("connection", serve);
io.of("/media").use((socket, next) => {
  if (socket.handshake.auth.token === "let-me-in-please") next();
  else next(Object.assign(new Error("not you"), { data: { code: 401 } }));
});
io.of("/media").on("connection", serve);

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
