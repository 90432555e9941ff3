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
  assert.equal(faultOfCa("hello, world", now), "found 12 bytes that are not a PEM certificate");
  assert.equal(faultOfCa(ca.key, now), 'found a PEM block "PRIVATE KEY"');
  const broken = pem("CERTIFICATE", new TextEncoder().encode("hello"));
  assert.equal(faultOfCa(broken, now), "found a PEM certificate that cannot be decoded (number 1)");
  assert.equal(faultOfCa(ca.cert + broken, now), "found a PEM certificate that cannot be decoded (number 2)");
});

Deno.test("faultOfClientCertificate() refuses X.509 version 1, on which Deno 2.6 ends the process", () => {
  // A certificate, a signed part, and in that a serial number in the place of the version.
  const old = pem("CERTIFICATE", Uint8Array.of(0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x07));
  assert.equal(faultOfClientCertificate(old, now), "found a certificate of X.509 version 1, want version 3");
  assert.equal(faultOfClientCertificate(ca.cert, now), undefined);
  assert.match(faultOfClientCertificate(ca.cert + old, now)!, /version 1/);
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
  assert.equal(faultOfKey("hunter2"), "found 7 bytes that are not a PEM private key");
});

Deno.test("isMismatch() is true for a certificate and a key that do not match", async () => {
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

/** DER of a sequence with this many bytes in it, and then `extra` more or fewer bytes. */
function sequence(lengthBytes: number, extra = 0): Uint8Array {
  const width = lengthBytes < 128 ? 0 : lengthBytes < 256 ? 1 : 2;
  const head = width === 0
    ? [0x30, lengthBytes]
    : width === 1
    ? [0x30, 0x81, lengthBytes]
    : [0x30, 0x82, lengthBytes >> 8, lengthBytes & 255];
  return Uint8Array.from([...head, ...new Array<number>(Math.max(0, lengthBytes + extra)).fill(5)]);
}

Deno.test("faultOfKey() takes one whole sequence of any length, and nothing that is shorter or longer", () => {
  const cannot = "found a PEM private key that cannot be decoded";
  const faultOf = (der: Uint8Array) => faultOfKey(pem("PRIVATE KEY", der));
  for (const lengthBytes of [1, 2, 127, 128, 255, 256, 257, 300, 1000]) {
    assert.equal(faultOf(sequence(lengthBytes)), undefined, String(lengthBytes));
    assert.equal(faultOf(sequence(lengthBytes, 1)), cannot, `one byte more than ${lengthBytes}`);
    assert.equal(faultOf(sequence(lengthBytes, -1)), cannot, `one byte less than ${lengthBytes}`);
  }
  assert.equal(faultOf(sequence(0)), undefined);
  assert.equal(faultOf(sequence(5).with(0, 0x31)), cannot);
  assert.equal(faultOf(new Uint8Array([0x30])), cannot);
  assert.equal(faultOfKey("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----"), cannot);
});

Deno.test("faultOfKey() takes every kind of unencrypted key, wherever it stands, and finds encrypted ones", () => {
  const block = (label: string, body = "MAEF") =>
    `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
  for (const label of ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]) {
    assert.equal(faultOfKey(block(label)), undefined, label);
    assert.equal(faultOfKey(`${block("EC PARAMETERS")}${block(label)}`), undefined, label);
  }
  assert.equal(faultOfKey(block("XPRIVATE KEY")), 'found a PEM block "XPRIVATE KEY"');
  assert.equal(faultOfKey(block("PRIVATE KEY X")), 'found a PEM block "PRIVATE KEY X"');
  const headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAEF";
  assert.equal(faultOfKey(block("RSA PRIVATE KEY", headers)), "found an encrypted private key");
  assert.equal(faultOfKey(block("ENCRYPTED PRIVATE KEY")), "found an encrypted private key");
  for (const nothing of ["", " \n"]) assert.equal(faultOfKey(nothing), "found nothing");
  assert.equal(faultOfKey("grüße"), "found 7 bytes that are not a PEM private key");
  assert.equal(
    faultOfKey("-----BEGIN PRIVATE KEY-----\nMAEF\n-----END EC PRIVATE KEY-----"),
    "found 61 bytes that are not a PEM private key",
  );
});

Deno.test("faultOfCa() and faultOfClientCertificate() take a certificate until the moment in which it expires", () => {
  const end = notAfter.getTime();
  for (const faultOf of [faultOfCa, faultOfClientCertificate]) {
    assert.equal(faultOf(expired.cert, end), undefined);
    assert.match(faultOf(expired.cert, end + 1)!, /that expired at 2029-06-01T00:00:00Z$/);
    assert.equal(faultOf("", now), "found nothing");
    assert.equal(faultOf(`${ca.key}${ca.cert}`, now), undefined, "other blocks are passed over");
  }
  assert.match(faultOfCa(expired.cert + expired.cert, now)!, /expired at 2029/);
  assert.equal(
    faultOfClientCertificate(ca.cert + expired.cert, now),
    undefined,
    "only the first is the client's",
  );
});

Deno.test("a certificate that the runtime cannot parse is no fault: the handshake decides", () => {
  const odd = pem("CERTIFICATE", sequence(5));
  assert.equal(faultOfCa(odd, now), undefined);
  assert.equal(faultOfClientCertificate(odd, now), undefined);
  assert.equal(faultOfCa(odd + expired.cert, now), undefined);
  assert.equal(notAfterMs(odd), undefined);
  assert.equal(notAfterMs(ca.key), undefined);
  assert.equal(notAfterMs(`${ca.key}${expired.cert}${ca.cert}`), notAfter.getTime());
  assert.equal(isMismatch({ cert: odd, key: ca.key }), false);
  assert.equal(isMismatch({ cert: ca.cert, key: pem("PRIVATE KEY", sequence(5)) }), false);
});
