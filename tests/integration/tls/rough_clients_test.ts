/**
 * The whole program with clients and pods that leave, break off and stand still in any order, plain and over TLS: every
 * session ends, and nothing of it stays.
 *
 * @module
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { pause } from "../../support/deadline.ts";
import type { WorldOptions } from "../../support/program.ts";
import { type SeededRandom, seededRandom } from "../../support/seeded_random.ts";
import { echo, type Serve } from "../../support/server_pods.ts";
import { overTls } from "../../support/tls_server.ts";
import { ca, ci } from "./stage.ts";
import { TlsProgram } from "./tls_program.ts";

/** Clients of one test, and how many of them there are at a time. */
const CLIENTS = 800;
const AT_ONCE = 16;

const daemon = await ca.issue({ commonName: "buildkitd", dnsNames: ["buildkitd-headless.default.svc"] });

/** Waits for an event, but not for longer. */
async function untilEvent(emitter: net.Socket, event: string, mostMs: number): Promise<void> {
  await once(emitter, event, { signal: AbortSignal.timeout(mostMs) }).catch(() => {});
}

/** A pod that echoes, ends early, says its end first, or is deaf; its connection is closed, or reset, after that. */
function roughPod(random: SeededRandom): Serve {
  const ways: readonly Serve[] = [
    echo,
    async (conn) => void await conn.write(new Uint8Array(random.integer(1, 300_000))),
    async (conn) => void await conn.read(new Uint8Array(100)),
    async (conn) => {
      await conn.closeWrite();
      const buffer = new Uint8Array(10_000);
      for (let reads = 0; reads < 20; reads++) if (await conn.read(buffer) === null) return;
    },
    () => pause(random.integer(0, 200)),
  ];
  return (conn, pod, session) => random.pick(ways)(conn, pod, session);
}

/** Starts a handshake over a socket. The end of the TLS stream may come without a FIN. */
async function startTls(socket: net.Socket, random: SeededRandom): Promise<net.Socket> {
  const sendsFin = random.chance(0.5);
  const under = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: (done) => sendsFin ? void socket.end(done) : done(),
  });
  under.on("error", () => {});
  socket.on("data", (chunk) => under.push(chunk) || socket.pause());
  socket.on("end", () => under.push(null));
  const options = { socket: under, servername: "localhost", ca: ca.cert, ALPNProtocols: ["h2"] };
  const client = tls.connect(random.chance(0.9) ? { ...options, ...ci } : options);
  client.on("error", () => {});
  if (random.chance(0.9)) await untilEvent(client, "secureConnect", 2_000);
  return client;
}

/** A client that does what comes, in any order, and is gone at the end. */
async function roughClient(port: number, isTls: boolean, random: SeededRandom): Promise<void> {
  const socket = net.connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  const stream = isTls ? await startTls(socket, random) : socket;
  const steps: readonly (() => unknown)[] = [
    () => stream.writableEnded || stream.write(new Uint8Array(random.integer(1, 200_000))),
    () => stream.resume(),
    () => stream.pause(),
    () => stream.writableEnded || stream.end(),
    () => pause(random.integer(0, 20)),
    () => pause(random.integer(0, 150)),
  ];
  for (let left = random.integer(0, 6); left > 0; left--) await random.pick(steps)();
  const ends: readonly (() => unknown)[] = [
    () => socket.resetAndDestroy(),
    () => stream.destroy(),
    () => untilEvent(stream.end().resume(), "close", 300),
  ];
  await random.pick(ends)();
  stream.destroy();
  socket.destroy();
}

/** How pods are reached. */
const WAYS = {
  "plain pods": {},
  "pods with TLS": { upstreamTlsCa: "ca.crt" },
  "pods that want a client certificate": {
    upstreamTlsCa: "ca.crt",
    upstreamTlsCert: "ci.crt",
    upstreamTlsKey: "ci.key",
  },
  "port-forwards": { upstream: "port-forward" },
} as const;

for (const [way, settings] of Object.entries(WAYS)) {
  Deno.test(`the program ends every session, whatever clients and ${way} do to their connections`, async () => {
    const random = seededRandom(1);
    const folder = await Deno.makeTempDir();
    for (const [name, text] of [["ca.crt", ca.cert], ["ci.crt", ci.cert], ["ci.key", ci.key]] as const) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const hasTls = "upstreamTlsCa" in settings;
    const server = "upstreamTlsCert" in settings ? { ...daemon, clientCa: ca.cert } : daemon;
    // The proxy waits for a first byte.
    const greets = () => random.chance(0.9);
    const options: WorldOptions & { mutual: boolean } = {
      mutual: true,
      settings: Object.fromEntries(
        Object.entries(settings).map(([name, value]) => [name, hasTls ? `${folder}/${value}` : value]),
      ),
      serve: hasTls ? overTls(roughPod(random), server, greets) : roughPod(random),
    };
    try {
      await using stage = await TlsProgram.start(options);
      const { program } = stage;
      await program.settled();
      let left = CLIENTS;
      await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        for (; left > 0; left--) {
          const isTls = random.chance(0.6);
          await roughClient(isTls ? stage.port : program.address.port, isTls, random);
        }
      }));
      const { metrics } = program;
      const openings = () => metrics.value("sessions_open") + metrics.value("sessions_held");
      await program.until("all sessions to end", () => openings() === 0);
      await program.until("the end of all connections to pods", () => program.pods.open === 0);
      const outcomes = program.log.of("session_ended").map(({ fields }) => fields["outcome"]);
      assert.ok(outcomes.length > CLIENTS / 8, `${outcomes.length} sessions`);
      for (const outcome of ["completed", "downstream_reset"]) assert.ok(outcomes.includes(outcome), outcome);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
