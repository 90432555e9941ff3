/**
 * Which listeners the program opens, and why it opens none.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  canServeTls,
  type ListenerPorts,
  type Listeners,
  loadCredentials,
  openListeners,
} from "../../../lib/app/listeners.ts";
import { systemClock } from "../../../lib/base/clock.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../../lib/config/settings.ts";
import { FEW_ARRIVALS, MOST_ARRIVALS } from "../../../lib/entrance/arrivals.ts";
import { Entrance } from "../../../lib/entrance/entrance.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";

const { cert, key } = await (await makeCa()).issue({ commonName: "builds" });
const FILES: Readonly<Record<string, string>> = { "tls.crt": cert, "tls.key": key };
const TLS = { tlsListenAddr: "127.0.0.1:0", tlsCert: "tls.crt", tlsKey: "tls.key" };

async function open(flags: Partial<Record<SettingKey, string>>, runtime = Deno.version.deno) {
  const given = Object.entries({ listenAddr: "127.0.0.1:0", ...flags }) as [SettingKey, string][];
  const settings = parseSettings({ flags: new Map(given), variables: {} });
  const ports: ListenerPorts = {
    clock: systemClock,
    log: recordingLog(),
    metrics: countedMetrics(() => {}),
    network: denoNetwork,
    runtime,
    readText: (path) => {
      const text = FILES[path];
      return text === undefined
        ? Promise.reject(Object.assign(new Error("No such file"), { code: "ENOENT" }))
        : Promise.resolve(text);
    },
  };
  return await openListeners(
    settings,
    "",
    { ...ports, mostArrivals: () => 1 },
    await loadCredentials(settings, ports),
  );
}

function close({ entries }: Listeners): void {
  for (const { listener } of entries) listener.close();
}

Deno.test("openListeners() opens a listener for each project and pool, with TLS where there is none without", async () => {
  const builders = { builders: "buildkitd,arm64/buildkitd-arm64" };
  const listeners = "project team-a=127.0.0.1:0, pool arm64=127.0.0.1:0, project b@arm64=127.0.0.1:0";
  for (const flags of [{}, { ...TLS, listenAddr: "off" }]) {
    const opened = await open({ ...builders, listeners, ...flags });
    assert.deepEqual(opened.entries.map(({ door }) => door), [
      { pool: "" },
      { pool: "", project: "team-a.default" },
      { pool: "arm64", project: undefined },
      { pool: "arm64", project: "b.default" },
    ]);
    const kinds = new Set(opened.entries.map(({ listener }) => listener instanceof Entrance));
    assert.deepEqual([...kinds], [opened.plain === undefined]);
    close(opened);
  }
});

Deno.test("openListeners() opens a plain listener, one with TLS, or both", async () => {
  const plain = await open({});
  assert.ok(plain.plain !== undefined && plain.tls === undefined && plain.watch === undefined);
  assert.equal(plain.arrivals, undefined);
  const tls = await open({ ...TLS, listenAddr: "off" });
  assert.ok(tls.plain === undefined && tls.tls !== undefined && tls.watch !== undefined);
  assert.deepEqual(tls.entries.map(({ listener }) => listener.addr), [tls.tls]);
  const both = await open(TLS);
  assert.deepEqual(both.entries.map(({ listener }) => listener.addr), [both.plain, both.tls]);
  assert.ok(both.tls !== undefined && both.tls.port !== both.plain?.port);
  for (const opened of [plain, tls, both]) close(opened);
});

Deno.test("openListeners() keeps descriptors for connections that say first who they are", async () => {
  for (const flags of [TLS, { proxyProtocol: "require", proxyProtocolFrom: "10.0.0.0/8" }]) {
    const opened = await open(flags);
    assert.deepEqual(opened.arrivals, { most: MOST_ARRIVALS, few: FEW_ARRIVALS });
    close(opened);
  }
});

Deno.test("openListeners() says all that is wrong with the runtime and the files, and opens nothing", async () => {
  const error = await open({ ...TLS, tlsKey: "no.key" }, "2.6.10").then(() => undefined, (error) => error);
  assert.ok(error instanceof UsageError);
  assert.deepEqual(error.problems, [
    'Cannot use "--tls-listen-addr": this program runs on Deno 2.6.10, which cannot serve TLS on connections that it ' +
    "has accepted, want a build with Deno 2.9 or later",
    'Cannot use the "--tls-key" file "no.key": found no such file',
  ]);
  await assert.rejects(open(TLS, "2.6.10"), UsageError);
});

Deno.test("openListeners() opens nothing if one address cannot be listened on", async () => {
  const taken = denoNetwork.listen({ hostname: "127.0.0.1", port: 0 });
  const tlsListenAddr = `127.0.0.1:${taken.addr.port}`;
  await assert.rejects(
    open({ ...TLS, tlsListenAddr }),
    /^FatalError: Cannot listen on "127.*" \(--tls-listen-addr\): Address already in use.*: found another process that listens there, end it or choose another address with "--tls-listen-addr"$/,
  );
  taken.close();
});

Deno.test("canServeTls() takes Deno 2.9 and later", () => {
  for (const version of ["2.9.0", "2.9.6", "2.10.1", "3.0.0"]) assert.ok(canServeTls(version), version);
  for (const version of ["1.46.3", "2.6.10", "2.8.3"]) assert.ok(!canServeTls(version), version);
});
