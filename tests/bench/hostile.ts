/**
 * What clients that mean harm cost honest ones: how long those wait while an attack runs, how soon `/livez` answers, how
 * much memory the program takes, and whether a build is cut. The attacks are in `hostile/`. Attackers and API server run in
 * this process; the program, its backend and the honest clients (`hostile/meter.ts`) in others.
 *
 *     deno run -A tests/bench/hostile.ts [TEXT] [--main PATH] [--seconds N]
 *
 * Runs the attacks whose names contain the text. `AUTOSCALER_BIN` names a compiled program; `--main` the `main.ts` of
 * another checkout, to compare. Exits with 1 when a bar does not hold. Needs Linux, Go, and `ulimit -n` above 8192.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { canServeTls } from "../../lib/app/listeners.ts";
import { makeCa } from "../integration/kube/certificates.ts";
import type { Attack } from "./hostile/attack.ts";
import { CALLS } from "./hostile/calls.ts";
import { FRAMES } from "./hostile/frames.ts";
import { FULL_HOLDS } from "./hostile/full_holds.ts";
import type { Measured } from "./hostile/meter.ts";
import { PIPELINING } from "./hostile/pipelining.ts";
import { RECORD_ATTACKS } from "./hostile/records.ts";
import { TLS_FLOODS } from "./hostile/tls_floods.ts";
import { UNREAD } from "./hostile/unread.ts";
import { buildPeers } from "./peers.ts";
import { delay } from "./processes.ts";
import { say } from "./say.ts";
import { Stage } from "./stage.ts";

/** An honest client is served within this time. */
const HONEST_BAR_MS = 500;
const LIVEZ_BAR_MS = 1_000;
const MEMORY_BAR_MB = 128;
/** What the program has after its start is not counted. */
const SETTLE_MS = 3_000;
/** How many authorities the clients' certificates may be of, with `mutual` TLS. */
const CLIENT_CAS = 140;

const METER = fileURLToPath(new URL("hostile/meter.ts", import.meta.url));

/** All of them, in the order of the table. */
const ATTACKS: readonly Attack[] = [
  ...CALLS,
  ...FULL_HOLDS,
  ...FRAMES,
  UNREAD,
  ...TLS_FLOODS,
  ...RECORD_ATTACKS,
  ...PIPELINING,
];

/** The settings for TLS, and the files of the honest clients. */
interface TlsFiles {
  readonly settings: Readonly<Record<string, string>>;
  readonly client: readonly string[];
}

async function writeTlsFiles(folder: string, tls: Attack["tls"]): Promise<TlsFiles> {
  if (tls === undefined) return { settings: {}, client: [] };
  const path = (name: string) => `${folder}/${name}.pem`;
  const write = (name: string, text: string) => Deno.writeTextFile(path(name), text);
  const ca = await makeCa({ commonName: "server" });
  const server = await ca.issue({ commonName: "proxy", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] });
  await Promise.all([write("ca", ca.cert), write("cert", server.cert), write("key", server.key)]);
  const settings = { "tls-cert": path("cert"), "tls-key": path("key") };
  if (tls === "server") return { settings, client: [path("ca")] };
  const authorities = await Promise.all(
    Array.from({ length: CLIENT_CAS }, (_, i) => makeCa({ commonName: `clients ${i}` })),
  );
  const client = await authorities[0]!.issue({ commonName: "ci" });
  await Promise.all([
    write("clients", authorities.map(({ cert }) => cert).join("\n")),
    write("client-cert", client.cert),
    write("client-key", client.key),
  ]);
  return {
    settings: { ...settings, "tls-client-ca": path("clients") },
    client: [path("ca"), path("client-cert"), path("client-key")],
  };
}

/** The honest clients' process. */
class Meter {
  readonly #child: Deno.ChildProcess;
  readonly #text: Promise<string>;

  constructor(args: readonly string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", METER, ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#text = new Response(this.#child.stdout).text();
  }

  /** Ends it. */
  async result(): Promise<Measured> {
    await this.#child.stdin.close();
    return JSON.parse((await this.#text).trim().split("\n").at(-1)!);
  }
}

/** The version of Deno that the program runs on. */
async function runtimeVersion(): Promise<string> {
  const binary = Deno.env.get("AUTOSCALER_BIN");
  if (binary === undefined) return Deno.version.deno;
  const { stdout } = await new Deno.Command(binary, { args: ["--version"] }).output();
  return /\bdeno ([\d.]+)/.exec(new TextDecoder().decode(stdout))?.[1] ?? "0";
}

/** What one attack has cost. */
interface Row extends Measured {
  readonly name: string;
  readonly grownMb: number;
  readonly holds: boolean;
}

async function measure(attack: Attack, backend: string, main: string | undefined, ms: number): Promise<Row> {
  const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
  try {
    const { settings, client } = await writeTlsFiles(folder, attack.tls);
    await using stage = await Stage.open(folder, attack.state === "warm" ? backend : undefined);
    const program = await stage.startProgram({ ...settings, ...attack.settings }, main);
    await using process = program.process;
    const { address, adminAddress } = program;
    const meter = new Meter([address, adminAddress, ...client]);
    await delay(SETTLE_MS);
    const before = process.residentMb;
    let most = before;
    const looking = setInterval(() => most = Math.max(most, process.residentMb), 50);
    const over = new AbortController();
    const attacking = attack.run({ address, adminAddress, stage }, over.signal);
    await Promise.race([delay(ms), attacking]);
    over.abort();
    await attacking;
    await delay(1_000);
    clearInterval(looking);
    const result = await meter.result();
    const measured = { ...result, isCut: result.isCut && attack.endsHolds !== true };
    const grownMb = most - before;
    const holds = measured.failed === 0 && !measured.isCut && grownMb <= MEMORY_BAR_MB &&
      measured.worstMs <= HONEST_BAR_MS && measured.livezWorstMs <= (attack.livezBarMs ?? LIVEZ_BAR_MS);
    return { ...measured, name: attack.name, grownMb, holds };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function line({ name, honest, failed, medianMs, worstMs, livezWorstMs, grownMb, isCut, holds }: Row): string {
  return [
    "",
    name,
    `${medianMs.toFixed(0)} / ${worstMs.toFixed(0)} ms`,
    `${failed} of ${honest}`,
    `${livezWorstMs.toFixed(0)} ms`,
    `${grownMb.toFixed(0)} MB`,
    isCut ? "CUT" : "goes on",
    holds ? "holds" : "DOES NOT HOLD",
    "",
  ].join(" | ").trim();
}

const { values: { main, seconds = "10" }, positionals: [part = ""] } = parseArgs({
  options: { main: { type: "string" }, seconds: { type: "string" } },
  allowPositionals: true,
});
const { backend } = await buildPeers();
say("| attack | honest client, median / worst | failed | slowest /livez | memory | build | bars |");
say("| --- | --- | --- | --- | --- | --- | --- |");
const version = await runtimeVersion();
let allHold = true;
for (const attack of ATTACKS.filter(({ name }) => name.includes(part))) {
  if (attack.tls !== undefined && !canServeTls(version)) {
    say(`| ${attack.name} | NOT RUN: Deno ${version} cannot serve TLS | | | | | |`);
    continue;
  }
  const row = await measure(attack, backend, main, Number(seconds) * 1_000);
  allHold &&= row.holds;
  say(line(row));
}
Deno.exit(allHold ? 0 : 1);
