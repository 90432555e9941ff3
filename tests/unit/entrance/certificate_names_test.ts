/**
 * Which names a certificate has, and which of them lets a client in.
 *
 * @module
 */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { acceptedName, describeNames, namesOf } from "../../../lib/entrance/certificate_names.ts";
import { makeCa } from "../../integration/kube/certificates.ts";

const ca = await makeCa();
const derOf = (cert: string): Uint8Array => new X509Certificate(cert).raw;

Deno.test("namesOf() finds alternative names of all kinds, or the common name where there is none", async () => {
  const { cert } = await ca.issue({
    commonName: "ci-runner",
    dnsNames: ["ci.example.org", "*.example.org"],
    uris: ["spiffe://example.org/ci"],
    ipAddresses: ["192.0.2.7"],
  });
  assert.deepEqual(namesOf(derOf(cert)), {
    alternative: ["ci.example.org", "*.example.org", "spiffe://example.org/ci", "192.0.2.7"],
    common: undefined,
  });
  assert.deepEqual(namesOf(derOf(ca.cert)), { alternative: [], common: "Test CA" });
});

/** Names of kinds that are not compared, in DER. */
const OTHER_NAMES = {
  otherName: [0xa0, 13, 0x06, 3, 0x2a, 3, 4, 0xa0, 6, 0x0c, 4, 0x74, 0x65, 0x78, 0x74],
  directoryName: [0xa4, 2, 0x30, 0],
  registeredID: [0x88, 3, 0x2a, 3, 4],
};

for (const [kind, der] of Object.entries(OTHER_NAMES)) {
  Deno.test(`namesOf() leaves the common name out of a certificate whose only alternative name is of the kind ${kind}`, async () => {
    const { cert } = await ca.issue({ commonName: "admin", otherNames: [Uint8Array.from(der)] });
    const names = namesOf(derOf(cert));
    assert.deepEqual(names, { alternative: [], common: undefined });
    assert.equal(acceptedName(names, ["admin"]), undefined);
  });
}

Deno.test("X509Certificate tells neither a name with a comma from two names, nor all alternative names from none", async () => {
  const textOf = async (options: Parameters<typeof ca.issue>[0]) =>
    new X509Certificate((await ca.issue(options)).cert).subjectAltName;
  assert.equal(
    await textOf({ commonName: "x", uris: ["a, DNS:b"] }),
    await textOf({ commonName: "x", uris: ["a"], dnsNames: ["b"] }).then((text) =>
      text?.split(", ").reverse().join(", ")
    ),
  );
  assert.equal(
    await textOf({ commonName: "x", otherNames: [Uint8Array.from(OTHER_NAMES.registeredID)] }),
    undefined,
  );
});

Deno.test("namesOf() does not split a name that looks like several", async () => {
  const forged = "ci.example.org, DNS:admin.example.org";
  const { cert } = await ca.issue({ commonName: "x", uris: [forged], dnsNames: [`"${forged}"`] });
  const names = namesOf(derOf(cert));
  assert.deepEqual(names.alternative, [`"${forged}"`, forged]);
  assert.equal(acceptedName(names, ["admin.example.org"]), undefined);
});

Deno.test("namesOf() leaves no character of a name out", async () => {
  const { cert } = await ca.issue({ commonName: "\ufeffadmin" });
  assert.equal(namesOf(derOf(cert)).common, "\ufeffadmin");
});

Deno.test("namesOf() throws on bytes that are no certificate, and never hangs", () => {
  const der = derOf(ca.cert);
  fc.assert(fc.property(fc.nat(der.byteLength - 1), fc.nat(255), (at, byte) => {
    const broken = Uint8Array.from(der);
    broken[at] = byte;
    try {
      namesOf(broken);
    } catch (error) {
      assert.match((error as Error).message, /^Cannot read a certificate/);
    }
  }));
  for (let length = 0; length < der.byteLength; length++) {
    assert.throws(() => namesOf(der.subarray(0, length)), /^Error: Cannot read a certificate/);
  }
});

Deno.test("acceptedName() takes exact names only, and the common name where there is no other", () => {
  const both = { alternative: ["a.example.org", "b.example.org"], common: undefined };
  assert.equal(acceptedName(both, ["b.example.org"]), "b.example.org");
  assert.equal(acceptedName(both, ["c"]), undefined);
  assert.equal(acceptedName(both, ["A.example.org", "example.org", "*.example.org", ""]), undefined);
  assert.equal(acceptedName({ alternative: [], common: "c" }, ["c"]), "c");
  assert.equal(acceptedName({ alternative: [], common: undefined }, ["c"]), undefined);
});

Deno.test("acceptedName() without a list takes the first name, or none where there is none", () => {
  assert.equal(acceptedName({ alternative: ["a", "b"], common: undefined }, undefined), "a");
  assert.equal(acceptedName({ alternative: [], common: "c" }, undefined), "c");
  assert.equal(acceptedName({ alternative: [], common: undefined }, undefined), "");
});

Deno.test("describeNames() quotes the names that count", () => {
  assert.equal(describeNames({ alternative: ["a", "b"], common: undefined }), '"a", "b"');
  assert.equal(describeNames({ alternative: [], common: "c\n" }), '"c\\n"');
  assert.equal(describeNames({ alternative: [], common: undefined }), "no name");
});
