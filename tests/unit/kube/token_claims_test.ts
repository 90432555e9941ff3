/** Tests of what a service account's token says of itself. @module */
import assert from "node:assert/strict";
import { readClaims } from "../../../lib/kube/token_claims.ts";

/** A token with these claims, as text. */
function token(claims: string): string {
  const part = (text: string) =>
    new TextEncoder().encode(text).toBase64({ alphabet: "base64url", omitPadding: true });
  return `${part('{"alg":"RS256"}')}.${part(claims)}.c2lnbmF0dXJl`;
}

const NOTHING = { podUid: undefined, times: undefined };

Deno.test("readClaims() reads pod and lifetime, in whatever characters they are encoded", () => {
  for (const name of ["ci", "???>>>", "übung"]) {
    const claims = {
      iat: 1_700_000_000,
      exp: 1_700_003_607,
      "kubernetes.io": { namespace: name, pod: { name, uid: "uid-1" } },
    };
    assert.deepEqual(readClaims(token(JSON.stringify(claims))), {
      podUid: "uid-1",
      times: { issuedMs: 1_700_000_000_000, expiresMs: 1_700_003_607_000 },
    }, name);
  }
});

Deno.test("readClaims() finds nothing in what is no such token", () => {
  for (const claims of ["{}", "null", "[]", "1", "", "{", '{"iat":"x","exp":null}', '{"exp":1700003607}']) {
    assert.deepEqual(readClaims(token(claims)), NOTHING, claims);
  }
  for (const text of ["", "pod-token", "a.b", "a.!.c", "..", "a..c"]) {
    assert.deepEqual(readClaims(text), NOTHING, text);
  }
  assert.deepEqual(readClaims(token('{"kubernetes.io":{"pod":{"uid":7}}}')), NOTHING);
});
