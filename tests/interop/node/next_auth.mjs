// next-auth's own handler behind a plain HTTP server: credentials, sessions as JWT cookies. `node next_auth.mjs` prints
// its port, then one line a sign-in; what is not signed in gets a 401 from /api/me.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const NextAuth = require("next-auth").default;
const Credentials = require("next-auth/providers/credentials").default;
const { getToken } = require("next-auth/jwt");

process.env.NEXTAUTH_SECRET = "a-secret-of-the-test";
let people = 0;
const options = {
  secret: process.env.NEXTAUTH_SECRET,
  session: { strategy: "jwt" },
  providers: [
    Credentials({
      credentials: { username: {}, password: {} },
      authorize: async ({ username, password }) =>
        password === "correct horse" ? (++people, { id: randomUUID(), name: username }) : null,
    }),
  ],
  callbacks: {
    jwt: ({ token, user }) => (user ? { ...token, id: user.id } : token),
    session: ({ session, token }) => ({ ...session, user: { ...session.user, id: token.id } }),
  },
  logger: { error() {}, warn() {}, debug() {} },
};

const cookiesOf = (header = "") =>
  Object.fromEntries(
    header.split("; ").filter(Boolean).map((one) => [one.split("=")[0], decodeURIComponent(one.split("=").slice(1).join("="))]),
  );

const server = createServer(async (request, response) => {
  const url = new URL(request.url, `http://${request.headers.host}`);
  process.env.NEXTAUTH_URL = `http://${request.headers.host}`;
  let text = "";
  for await (const piece of request) text += piece;
  const json = (request.headers["content-type"] ?? "").includes("json");
  request.body = json ? JSON.parse(text || "{}") : Object.fromEntries(new URLSearchParams(text));
  request.cookies = cookiesOf(request.headers.cookie);
  response.status = (code) => ((response.statusCode = code), response);
  response.json = (value) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
  response.send = (value) => (typeof value === "string" ? response.end(value) : response.json(value));
  if (url.pathname === "/api/me") {
    const token = await getToken({ req: request, secret: options.secret });
    if (!token) return response.status(401).json({ error: "sign in first" });
    return response.json({ id: token.id });
  }
  if (url.pathname.startsWith("/api/people/")) {
    const token = await getToken({ req: request, secret: options.secret });
    const own = token && url.pathname.endsWith(`/${token.id}`);
    return response.status(own ? 200 : 403).json({});
  }
  if (!url.pathname.startsWith("/api/auth/")) return response.status(200).json({});
  request.query = { ...Object.fromEntries(url.searchParams), nextauth: url.pathname.slice("/api/auth/".length).split("/") };
  await NextAuth(request, response, options);
  if (url.pathname.endsWith("/callback/credentials")) console.log(people);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
