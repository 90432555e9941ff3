/**
 * Findings about the files of TLS.
 *
 * @module
 */
import assert from "node:assert/strict";
import { tlsFindings } from "../../../lib/check/tls_files.ts";
import { notAfterMs } from "../../../lib/kube/pem.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { faults } from "./builders.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const pem = (await makeCa()).cert;
const endMs = notAfterMs(pem)!;
const check = "TLS for clients";
const certificates = [["--tls-cert", pem]] as const;

Deno.test("tlsFindings() tells until when the files can be used", () => {
  const [finding] = tlsFindings({ check, problems: [], certificates }, endMs - 30 * DAY_MS);
  assert.equal(finding?.result, "ok");
  assert.equal(
    finding?.found,
    `files can be used, valid until ${new Date(endMs).toISOString().slice(0, 10)}`,
  );
  assert.deepEqual(tlsFindings({ check, problems: [], certificates: [["--tls-cert", "?"]] }, endMs), [
    { check, result: "ok", found: "files can be used" },
  ]);
});

Deno.test("tlsFindings() warns two weeks before the end, and finds fault after it", () => {
  const at = new Date(endMs).toISOString().replace(".000Z", "Z");
  const of = (wallMs: number, problems: readonly string[] = []) =>
    faults(tlsFindings({ check, problems, certificates }, wallMs));
  assert.deepEqual(of(endMs - 14 * DAY_MS), []);
  assert.deepEqual(of(endMs - 14 * DAY_MS + 1), [
    `warning ${check}: the certificate of --tls-cert expires at ${at}`,
  ]);
  assert.deepEqual(of(endMs), [`warning ${check}: the certificate of --tls-cert expires at ${at}`]);
  assert.deepEqual(of(endMs + 1), [`failed ${check}: the certificate of --tls-cert has expired at ${at}`]);
  assert.deepEqual(of(endMs + 1, ["it has expired"]), [`failed ${check}: it has expired`]);
});

Deno.test("tlsFindings() tells the first end of several certificates", async () => {
  const short =
    (await (await makeCa()).issue({ commonName: "a", notAfter: new Date(endMs - 90 * DAY_MS) })).cert;
  const firstMs = Math.min(endMs, notAfterMs(short)!);
  for (const pems of [[pem, short], [short, pem]]) {
    const all = pems.map((text) => ["--tls-cert", text] as const);
    const [finding] = tlsFindings({ check, problems: [], certificates: all }, firstMs - 30 * DAY_MS);
    assert.ok(finding?.found.endsWith(new Date(firstMs).toISOString().slice(0, 10)), finding?.found);
  }
});

Deno.test("tlsFindings() has all problems", () => {
  assert.deepEqual(faults(tlsFindings({ check, problems: ["a", "b"], certificates: [] }, 0)), [
    `failed ${check}: a`,
    `failed ${check}: b`,
  ]);
});
