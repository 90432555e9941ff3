/**
 * What TLS at the proxy costs beside a Go proxy with `crypto/tls` and, if it is installed (Debian's package `haproxy`),
 * HAProxy: one stream each way, in turns, with and without client certificates, and the memory of idle connections.
 * Everything runs on this machine's loopback, so its figures mean something only beside each other.
 *
 *     deno run -A tests/bench/tls.ts [--rounds N] [--seconds N]
 *
 * `HAPROXY` names the program, where it is not in the path. Has no bars: the aims are 0.6 of Go's rate with client
 * certificates and 0.9 without. Needs Linux and Go.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { makeCa } from "../integration/kube/certificates.ts";
import { buildPeers, type Peers } from "./peers.ts";
import { Background, connectOnce, delay, freePort, Kept, output } from "./processes.ts";
import { Stage } from "./stage.ts";

const LOOPBACK = "127.0.0.1";
/** How long a process may take to come to rest before its memory is looked at, in ms. */
const SETTLE_MS = 6_000;

/** One proxy under load. */
interface Contender {
  readonly name: string;
  readonly address: string;
  readonly process: Background;
  readonly figures: number[];
  cpuSeconds: number;
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function writeFiles(folder: string): Promise<void> {
  const ca = await makeCa();
  const server = await ca.issue({ commonName: "builds", dnsNames: ["localhost"] });
  const client = await ca.issue({ commonName: "client" });
  const files = {
    "ca.crt": ca.cert,
    "server.crt": server.cert,
    "server.key": server.key,
    "client.crt": client.cert,
    "client.key": client.key,
    "server.pem": server.cert + server.key,
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
}

/** The program with TLS only. */
async function startOurs(stage: Stage, folder: string, mutual: boolean): Promise<Contender> {
  const address = `${LOOPBACK}:${freePort(LOOPBACK)}`;
  const { process } = await stage.startProgram({
    "listen-addr": "off",
    "tls-listen-addr": address,
    "tls-cert": `${folder}/server.crt`,
    "tls-key": `${folder}/server.key`,
    ...(mutual ? { "tls-client-ca": `${folder}/ca.crt` } : {}),
  });
  return { name: "the program", address, process, figures: [], cpuSeconds: 0 };
}

async function startGo(folder: string, peers: Peers, backend: string, mutual: boolean): Promise<Contender> {
  const port = freePort(LOOPBACK);
  const address = `${LOOPBACK}:${port}`;
  const variables = [`TLS_FILES=${folder}`, ...(mutual ? ["TLS_MUTUAL=1"] : [])];
  const process = new Background("the Go proxy", `${folder}/go.log`, "env", [
    ...variables,
    peers.proxy,
    address,
    backend,
  ]);
  await process.until(() => connectOnce(LOOPBACK, port));
  return { name: "Go", address, process, figures: [], cpuSeconds: 0 };
}

/** HAProxy, if there is one. */
async function startHaproxy(
  folder: string,
  backend: string,
  mutual: boolean,
): Promise<Contender | undefined> {
  const program = Deno.env.get("HAPROXY") ?? "haproxy";
  try {
    await output(program, ["-v"]);
  } catch {
    return undefined;
  }
  const port = freePort(LOOPBACK);
  const address = `${LOOPBACK}:${port}`;
  const verify = mutual ? ` ca-file ${folder}/ca.crt verify required` : "";
  const config = `${folder}/haproxy-${mutual}.cfg`;
  await Deno.writeTextFile(
    config,
    `global
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen builds
  bind ${address} ssl crt ${folder}/server.pem alpn h2 ssl-min-ver TLSv1.2${verify}
  server backend ${backend}
`,
  );
  const process = new Background("HAProxy", `${folder}/haproxy.log`, program, ["-db", "-f", config]);
  await process.until(() => connectOnce(LOOPBACK, port));
  return { name: "HAProxy", address, process, figures: [], cpuSeconds: 0 };
}

async function measure(folder: string, peers: Peers, rounds: number, seconds: number): Promise<void> {
  await using stage = await Stage.open(folder, peers.backend);
  for (const mutual of [false, true]) {
    const all = [
      await startOurs(stage, folder, mutual),
      await startGo(folder, peers, stage.backendAddress, mutual),
      await startHaproxy(folder, stage.backendAddress, mutual),
    ].filter((contender) => contender !== undefined);
    try {
      say(mutual ? "with client certificates" : "without client certificates");
      for (const mode of ["up", "down"]) await race(all, mode, folder, peers, rounds, seconds);
    } finally {
      for (const { process } of all) await process[Symbol.asyncDispose]();
    }
    await measureMemory(stage, folder, peers, mutual);
  }
}

/** On a program of its own: what streams leave behind is garbage that is collected sooner or later. */
async function measureMemory(stage: Stage, folder: string, peers: Peers, mutual: boolean): Promise<void> {
  const { address, process } = await startOurs(stage, folder, mutual);
  await using _program = process;
  await delay(SETTLE_MS);
  const idleMb = process.residentMb;
  const args = [`TLS_FILES=${folder}`, peers.load, "idle", address, "1000", "4096"];
  await using _kept = await Kept.open("env", args);
  await delay(SETTLE_MS);
  say(`  memory: ${idleMb.toFixed(0)} MB idle, ${process.residentMb.toFixed(0)} MB with 1,000 idle sessions`);
}

/** One kind of load through all of them in turns. The first turn of each warms up and does not count. */
async function race(
  all: readonly Contender[],
  mode: string,
  folder: string,
  peers: Peers,
  rounds: number,
  seconds: number,
): Promise<void> {
  for (const contender of all) contender.figures.length = contender.cpuSeconds = 0;
  for (let round = 0; round <= rounds; round++) {
    for (const contender of all) {
      const cpu = contender.process.cpuSeconds;
      const args = [`TLS_FILES=${folder}`, peers.load, mode, contender.address, `${seconds}`];
      const figure = Number(await output("env", args)) / 1e9;
      if (round === 0) continue;
      contender.figures.push(figure);
      contender.cpuSeconds += contender.process.cpuSeconds - cpu;
    }
  }
  const go = middle(all.find(({ name }) => name === "Go")!.figures);
  const cells = all.map(({ name, figures, cpuSeconds }) =>
    `${name} ${middle(figures).toFixed(2)} GB/s (${Math.min(...figures).toFixed(2)}-${
      Math.max(...figures).toFixed(2)
    }, ${(cpuSeconds / rounds).toFixed(1)} s CPU, ${(middle(figures) / go).toFixed(2)} of Go)`
  );
  say(`  1 stream, to the ${mode === "up" ? "backend" : "client"}: ${cells.join("; ")}`);
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "3" } },
});
const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
try {
  await writeFiles(folder);
  await measure(folder, await buildPeers(), Number(values.rounds), Number(values.seconds));
} finally {
  await Deno.remove(folder, { recursive: true });
}
