/**
 * The files that TLS needs: what is wrong with them, and that they are read again.
 *
 * @module
 */
import assert from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import { RELOAD_PERIOD_MS, ReloadedCredentials } from "../../../lib/entrance/server_credentials.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const ca = await makeCa();
const first = await ca.issue({ commonName: "builds" });
const second = await ca.issue({ commonName: "builds" });

/** Files in memory. */
function stage(
  files: Record<string, string> = { "tls.crt": first.cert, "tls.key": first.key, "ca.crt": ca.cert },
) {
  const log = recordingLog();
  const clock = new VirtualClock();
  const metrics = countedMetrics(() => {});
  const machine = {
    readText: (path: string) => {
      const text = files[path];
      return text === undefined
        ? Promise.reject(Object.assign(new Error("no such file"), { code: "ENOENT" }))
        : Promise.resolve(text);
    },
  };
  const load = (names: { tlsClientCa?: string | undefined } = { tlsClientCa: "ca.crt" }) =>
    ReloadedCredentials.load({ tlsCert: "tls.crt", tlsKey: "tls.key", tlsClientCa: undefined, ...names }, {
      log,
      clock,
      metrics,
      machine,
    });
  return { files, log, clock, metrics, load };
}

async function problemsOf(loading: Promise<unknown>): Promise<readonly string[]> {
  const error = await loading.then(() => undefined, (error) => error);
  assert.ok(error instanceof UsageError);
  return error.problems;
}

Deno.test("ReloadedCredentials reads a pair, and authorities of clients where they are asked for", async () => {
  const { load, log } = stage();
  assert.deepEqual((await load()).current, { pair: first, clientCa: ca.cert });
  assert.deepEqual((await load({})).current, { pair: first, clientCa: undefined });
  assert.deepEqual(log.records, []);
});

Deno.test("ReloadedCredentials.load() says all that is wrong at once", async () => {
  const { load } = stage({ "tls.crt": "hello", "ca.crt": first.key });
  assert.deepEqual(await problemsOf(load()), [
    'Cannot use the "--tls-cert" file "tls.crt": found 5 bytes that are not a PEM certificate, want a PEM certificate',
    'Cannot use the "--tls-key" file "tls.key": found no such file',
    'Cannot use the "--tls-client-ca" file "ca.crt": found a PEM block "PRIVATE KEY", want PEM certificates of authorities',
  ]);
});

Deno.test("ReloadedCredentials.load() says that the two files are swapped, and what else is wrong", async () => {
  const swapped = { "tls.crt": first.key, "tls.key": first.cert };
  const problem =
    'Cannot use "--tls-cert" and "--tls-key": found a private key in "tls.crt" and a certificate in "tls.key", ' +
    "want them the other way round";
  assert.deepEqual(await problemsOf(stage(swapped).load({})), [problem]);
  assert.deepEqual(await problemsOf(stage(swapped).load()), [
    problem,
    'Cannot use the "--tls-client-ca" file "ca.crt": found no such file',
  ]);
  assert.deepEqual(await problemsOf(stage({ ...swapped, "tls.key": first.key }).load({})), [
    'Cannot use the "--tls-cert" file "tls.crt": found a PEM block "PRIVATE KEY", want a PEM certificate',
  ]);
});

Deno.test("ReloadedCredentials.load() takes certificate and key from one file", async () => {
  const both = `${first.key}\n${first.cert}`;
  const { load } = stage({ "tls.crt": both, "tls.key": both });
  assert.equal((await load({})).current.pair.cert, both);
});

Deno.test("ReloadedCredentials.load() says which key it wants instead of an encrypted one", async () => {
  const { load } = stage({
    "tls.crt": first.cert,
    "tls.key": first.key.replaceAll("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
    "ca.crt": ca.cert,
  });
  assert.deepEqual(await problemsOf(load()), [
    'Cannot use the "--tls-key" file "tls.key": found an encrypted private key, want a PEM private key that is not encrypted',
  ]);
});

Deno.test("ReloadedCredentials.load() refuses a key of another certificate", async () => {
  const { load } = stage({ "tls.crt": first.cert, "tls.key": second.key });
  assert.deepEqual(await problemsOf(load({})), [
    'Cannot use "tls.key" (--tls-key): it is not the key of the certificate "tls.crt" (--tls-cert)',
  ]);
});

Deno.test("ReloadedCredentials.load() warns of certificates that have expired, and uses them", async () => {
  const notAfter = new Date("2001-01-01T00:00:00Z");
  const oldCa = await makeCa({ commonName: "Old CA", notAfter });
  const old = await oldCa.issue({ commonName: "builds", notAfter });
  const { load, log } = stage({ "tls.crt": old.cert, "tls.key": old.key, "ca.crt": oldCa.cert });
  assert.equal((await load()).current.pair.cert, old.cert);
  const cause = "found a certificate that expired at 2001-01-01T00:00:00Z";
  assert.deepEqual(log.records, [
    { level: "warn", code: "tls_certificate_expired", fields: { file: "tls.crt", cause } },
    { level: "warn", code: "tls_certificate_expired", fields: { file: "ca.crt", cause } },
  ]);
});

Deno.test("ReloadedCredentials.watch() warns once when a certificate expires while it is in use", async () => {
  const { files, load, log, clock } = stage();
  const notAfter = new Date(Math.ceil(clock.wallMs() / 1000) * 1000 + 5 * RELOAD_PERIOD_MS);
  const short = await ca.issue({ commonName: "builds", notBefore: new Date(0), notAfter });
  Object.assign(files, { "tls.crt": short.cert, "tls.key": short.key });
  const credentials = await load();
  const stop = new AbortController();
  const watching = assert.rejects(credentials.watch(stop.signal), /the end/);
  await clock.advance(RELOAD_PERIOD_MS);
  assert.equal(log.records.length, 0);
  for (let i = 0; i < 8; i++) await clock.advance(RELOAD_PERIOD_MS);
  const { level, code, fields } = log.records[0]!;
  assert.deepEqual([log.records.length, level, code, fields.file], [
    1,
    "warn",
    "tls_certificate_expired",
    "tls.crt",
  ]);
  stop.abort(new Error("the end"));
  await watching;
});

Deno.test("ReloadedCredentials.watch() takes a new pair, and keeps the old one while the new one is bad", async () => {
  const { files, load, log, clock } = stage();
  const credentials = await load();
  const stop = new AbortController();
  const watching = assert.rejects(credentials.watch(stop.signal), /the end/);
  await clock.advance(RELOAD_PERIOD_MS);
  assert.deepEqual(log.records, []);

  files["tls.crt"] = second.cert; // the key comes later
  await clock.advance(RELOAD_PERIOD_MS);
  await clock.advance(RELOAD_PERIOD_MS);
  assert.equal(credentials.current.pair.cert, first.cert);
  assert.deepEqual(log.records.map(({ level, code }) => [level, code]), [
    ["warn", "tls_files_invalid"],
    ["debug", "tls_files_invalid"],
  ]);

  files["tls.key"] = second.key;
  await clock.advance(RELOAD_PERIOD_MS);
  assert.deepEqual(credentials.current.pair, second);
  assert.deepEqual(log.records.slice(2).map(({ level, code }) => [level, code]), [
    ["info", "tls_files_invalid_recovered"],
    ["info", "tls_files_reloaded"],
  ]);

  files["ca.crt"] = ca.cert + first.cert;
  await clock.advance(RELOAD_PERIOD_MS);
  assert.equal(credentials.current.clientCa, ca.cert + first.cert);
  stop.abort(new Error("the end"));
  await watching;
});

Deno.test("ReloadedCredentials tells in the metrics when the certificate expires, also after a new one came", async () => {
  const [soon, later] = [1_800_000_000, 1_900_000_000];
  const until = (seconds: number) => ca.issue({ commonName: "builds", notAfter: new Date(seconds * 1000) });
  const [before, after] = [await until(soon), await until(later)];
  const { files, metrics, load } = stage({ "tls.crt": before.cert, "tls.key": before.key });
  const credentials = await load({});
  assert.equal(metrics.value("certificate_expiry_seconds"), soon);
  Object.assign(files, { "tls.crt": after.cert, "tls.key": after.key });
  await credentials.reload();
  assert.equal(metrics.value("certificate_expiry_seconds"), later);
});
