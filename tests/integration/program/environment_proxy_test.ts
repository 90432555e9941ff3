/**
 * The HTTP proxy that the environment names, as the program uses it: a process of its own, since the runtime reads the
 * environment, too.
 *
 * @module
 */
import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { ChildProgram } from "../../support/child_program.ts";
import { World } from "../../support/program.ts";
import { makeCa } from "../kube/certificates.ts";

const ca = await makeCa();
const certificate = await ca.issue({
  commonName: "api",
  dnsNames: ["api.example"],
  ipAddresses: ["127.0.0.1"],
});

interface Stage {
  /** The port of an API server that answers 401 to everybody. */
  readonly apiPort: number;
  readonly proxyPort: number;
  /** The authorities that the proxy was asked to connect to. */
  readonly asked: ReadonlySet<string>;
}

async function onStage(use: (stage: Stage) => Promise<void>): Promise<void> {
  const options = {
    port: 0,
    hostname: "127.0.0.1",
    cert: certificate.cert,
    key: certificate.key,
    onListen() {},
  };
  const api = Deno.serve(options, () => Response.json({ kind: "Status" }, { status: 401 }));
  const asked = new Set<string>();
  const sockets = new Set<Socket>();
  const proxy = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    socket.once("data", (bytes) => {
      asked.add(/^CONNECT (\S+)/.exec(String(bytes))?.[1] ?? String(bytes));
      const upstream = connect(api.addr.port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        socket.pipe(upstream).pipe(socket);
      });
      sockets.add(upstream.on("error", () => socket.destroy()));
      socket.on("close", () => upstream.destroy());
    });
  });
  const listening = new Promise<void>((resolve) => proxy.once("listening", resolve));
  proxy.listen(0, "127.0.0.1");
  await listening;
  try {
    const { port: proxyPort } = proxy.address() as { port: number };
    await use({ apiPort: api.addr.port, proxyPort, asked });
  } finally {
    const closed = new Promise((resolve) => proxy.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
    await api.shutdown();
  }
}

/** Why the program has no access to the API server at `server`. */
async function causeOf(server: string, env: Readonly<Record<string, string>>): Promise<string> {
  await using world = new World({ cluster: { replicas: 1 } });
  await using program = await ChildProgram.start(world, {
    token: "a-token",
    cluster: { server, "certificate-authority-data": btoa(ca.cert) },
    env,
  });
  return String((await program.logged("api_access_failed"))["cause"]);
}

const REFUSED = /the API server does not accept the credentials/;

Deno.test("program: HTTPS_PROXY is used for the API server", () =>
  onStage(async ({ proxyPort, asked }) => {
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`, NO_PROXY: "other.example" };
    assert.match(await causeOf("https://api.example:6443", env), REFUSED);
    assert.deepEqual([...asked], ["api.example:6443"]);
  }));

for (const NO_PROXY of ["*", "127.0.0.0/8"]) {
  Deno.test(`program: NO_PROXY=${NO_PROXY} is obeyed for a server with an address`, () =>
    onStage(async ({ apiPort, proxyPort, asked }) => {
      const env = { HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`, NO_PROXY };
      assert.match(await causeOf(`https://127.0.0.1:${apiPort}`, env), REFUSED);
      assert.deepEqual([...asked], []);
    }));
}

Deno.test("program: a refused connection names the proxy of the environment, without its password", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const env = { https_proxy: `http://me:hunter2@127.0.0.1:${port}` };
  assert.equal(
    await causeOf("https://api.example:6443", env),
    `Cannot reach the API server "https://api.example:6443" through the proxy "127.0.0.1:${port}" (https_proxy): ` +
      "the connection was refused, check that the server and the proxy run",
  );
});

Deno.test("program: a port that Deno's fetch blocks is named, and what to do", async () => {
  assert.match(
    await causeOf("https://127.0.0.1:1", {}),
    /Deno's fetch blocks port 1 .*listen on another port/,
  );
});
