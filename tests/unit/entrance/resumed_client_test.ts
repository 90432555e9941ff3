/**
 * Which clients may resume a TLS session.
 *
 * @module
 */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chainOf, isStillTrusted, type PresentedCertificate } from "../../../lib/entrance/resumed_client.ts";
import { makeCa, type TestCertificate } from "../../integration/kube/certificates.ts";

const DAY_MS = 86_400_000;
const ca = await makeCa();
const sameName = await makeCa();
const other = await makeCa({ commonName: "Other CA" });
const between = await ca.issueCa({ commonName: "between" });
const client = await ca.issue({ commonName: "ci" });
const impostor = await ca.issueCa({ commonName: "impostor" }, false);
const forged = await impostor.issue({ commonName: "ci" });
const below = await between.issue({ commonName: "ci" });

const x509 = (...chain: TestCertificate[]) => chain.map(({ cert }) => new X509Certificate(cert));

for (
  const [what, chain, authorities, aheadMs, expected] of [
    ["of an authority", [client], ca.cert, 0, true],
    ["of one of several authorities", [client], other.cert + ca.cert, 0, true],
    ["of an authority that is no longer one", [client], other.cert, 0, false],
    ["of another authority with the same name", [client], sameName.cert, 0, false],
    ["that has expired", [client], ca.cert, 3651 * DAY_MS, false],
    ["that is not valid yet", [client], ca.cert, -2 * DAY_MS, false],
    ["that is listed itself", [client], client.cert, 0, true],
    ["of an authority below one", [below, between], ca.cert, 0, true],
    [
      "of an authority below one, with that of the authority after it",
      [below, between, ca],
      ca.cert,
      0,
      true,
    ],
    ["of an authority below one that is no longer one", [below, between, ca], other.cert, 0, false],
    ["of an authority that it has not presented", [below], ca.cert, 0, false],
    ["beside a good one that has not signed it", [below, client], ca.cert, 0, false],
    ["beside an authority that has not signed it", [client, between], other.cert, 0, false],
    ["signed by somebody who is no authority", [forged, impostor], ca.cert, 0, false],
    ["of no chain", [], ca.cert, 0, false],
  ] as const
) {
  Deno.test(`isStillTrusted() says ${expected} of a certificate ${what}`, () => {
    assert.equal(isStillTrusted(x509(...chain), authorities, Date.now() + aheadMs), expected);
  });
}

Deno.test("chainOf() ends at the certificate that names itself, or none, and does not run in circles", () => {
  const raw = (certificate: TestCertificate) => new X509Certificate(certificate.cert).raw;
  const root: { raw: Uint8Array; issuerCertificate?: PresentedCertificate } = { raw: raw(ca) };
  root.issuerCertificate = root;
  const chain = { raw: raw(below), issuerCertificate: { raw: raw(between), issuerCertificate: root } };
  assert.deepEqual(chainOf(chain).map(({ fingerprint256 }) => fingerprint256), [
    ...x509(below, between, ca).map(({ fingerprint256 }) => fingerprint256),
  ]);
  assert.deepEqual(chainOf({}), []);
  const circle: { raw: Uint8Array; issuerCertificate?: PresentedCertificate } = { raw: raw(ca) };
  circle.issuerCertificate = { raw: raw(between), issuerCertificate: circle };
  assert.equal(chainOf(circle).length, 10);
});
