// A real Socket.IO server for the tests. argv: JSON options for `new Server`. Prints its port, then serves until stdin ends.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer((request, response) => response.end("plain"));
const io = new Server(http, JSON.parse(process.argv[2] ?? "{}"));

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
