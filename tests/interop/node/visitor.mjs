// Visits promises.mjs once, as a browser would. argv: URL, transports (JSON).
import { Manager } from "socket.io-client";

const url = process.argv[2];
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const agent = { "user-agent": "Visitor/1" }; // as of one browser
const get = async (path, token) => {
  const headers = token ? { ...agent, authorization: `Bearer ${token}` } : agent;
  await (await fetch(url + path, { headers })).json();
};

await get("/health");
const { accessToken } = await (await fetch(`${url}/login`, { method: "POST", body: "{}", headers: agent })).json();
await get("/dashboard", accessToken);
await get("/limited", accessToken);
const manager = new Manager(url, { reconnection: false, transports: JSON.parse(process.argv[3] ?? '["websocket"]'), extraHeaders: agent });
for (const [namespace, auth] of [["/", undefined], ["/live", { token: accessToken }]]) {
  const socket = manager.socket(namespace, { auth });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
}
await get("/dashboard", accessToken);
await later(200);
manager._close();
await later(300);
process.exit(0);
