/**
 * What is taken for PEM and what is not.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  faultOfCa,
  faultOfClientCertificate,
  faultOfKey,
  isMismatch,
  notAfterMs,
} from "../../../lib/kube/pem.ts";
import { makeCa, pem } from "../../integration/kube/certificates.ts";

const now = Date.parse("2030-01-01T00:00:00Z");
const notAfter = new Date("2029-06-01T00:00:00Z");
const ca = await makeCa();
const expired = await makeCa({ commonName: "Old CA", notAfter });

Deno.test("faultOfCa() takes certificates and bundles in which one is still valid", () => {
  assert.equal(faultOfCa(ca.cert, now), undefined);
  assert.equal(faultOfCa(`# comment\n${expired.cert}${ca.cert}`, now), undefined);
  assert.equal(faultOfCa(expired.cert, now), "found a certificate that expired at 2029-06-01T00:00:00Z");
  assert.equal(faultOfCa(ca.cert.replaceAll("\n", "\r\n"), now), undefined);
});

Deno.test("faultOfCa() says what was found instead of a certificate", () => {
  assert.equal(faultOfCa(" \n", now), "found nothing");
  assert.equal(faultOfCa("hello, world", now), "found 12 bytes that are no PEM certificate");
  assert.equal(faultOfCa(ca.key, now), 'found a PEM block "PRIVATE KEY"');
  const broken = pem("CERTIFICATE", new TextEncoder().encode("hello"));
  assert.equal(faultOfCa(broken, now), "found a PEM certificate that cannot be decoded (number 1)");
  assert.equal(faultOfCa(ca.cert + broken, now), "found a PEM certificate that cannot be decoded (number 2)");
});

Deno.test("faultOfClientCertificate() refuses an expired certificate", () => {
  assert.match(faultOfClientCertificate(expired.cert + ca.cert, now)!, /expired at 2029-06-01/);
  assert.equal(notAfterMs(expired.cert), notAfter.getTime());
});

Deno.test("faultOfKey() takes unencrypted keys only", () => {
  assert.equal(faultOfKey(ca.key), undefined);
  assert.equal(
    faultOfKey(ca.key.replaceAll("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
    "found an encrypted private key",
  );
  assert.equal(faultOfKey(ca.cert), 'found a PEM block "CERTIFICATE"');
  assert.equal(faultOfKey("hunter2"), "found 7 bytes that are no PEM private key");
});

Deno.test("isMismatch() tells a pair from two strangers", async () => {
  const other = await ca.issue({ commonName: "other" });
  assert.equal(isMismatch(ca), false);
  assert.equal(isMismatch({ cert: ca.cert, key: other.key }), true);
});

Deno.test("faultOfCa() and faultOfKey() find a fault in any text, and quote none of it", () => {
  fc.assert(fc.property(fc.string({ minLength: 12 }), (text) => {
    for (const fault of [faultOfCa(text, now), faultOfKey(text)]) {
      assert.ok(fault !== undefined);
      assert.ok(!fault.includes(text));
    }
  }));
});
