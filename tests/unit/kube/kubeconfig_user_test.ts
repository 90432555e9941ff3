/** Tests of who asks, by a kubeconfig's user: what is sent, and what is said of what cannot be. @module */
import assert from "node:assert/strict";
import { FieldReader, Problems } from "../../../lib/kube/fields.ts";
import { readUser } from "../../../lib/kube/kubeconfig_user.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { fakePorts, never } from "./fakes.ts";

const ca = await makeCa();

async function read(user: Record<string, unknown>, files: Record<string, string> = {}) {
  const ports = fakePorts();
  for (const [path, text] of Object.entries(files)) ports.machine.files.set(path, text);
  const problems = new Problems();
  const reader = new FieldReader(problems, "/k/config", "user", user);
  const { credentials, ...rest } = await readUser(reader, undefined, undefined, ports);
  return {
    ...rest,
    credentials,
    ports,
    problems: problems.lines.map((line) => line.replace(/^.*field "/, '"')),
  };
}

async function credentialOf(user: Record<string, unknown>, files: Record<string, string> = {}) {
  const { credentials, problems, ...rest } = await read(user, files);
  assert.deepEqual(problems, []);
  const { hasCredentials, repeatsHeaders } = rest;
  return { ...await credentials.get(never), hasCredentials, repeatsHeaders };
}

const PROVES = { hasCredentials: true, repeatsHeaders: false };

Deno.test("readUser() says whether an entry has credentials, and whether headers repeat", async () => {
  assert.deepEqual(await credentialOf({}), { headers: {}, hasCredentials: false, repeatsHeaders: false });
  assert.deepEqual(await credentialOf({ token: "t" }), { headers: { authorization: "Bearer t" }, ...PROVES });
  assert.deepEqual(await credentialOf({ as: "a" }), { headers: { "impersonate-user": "a" }, ...PROVES });
  const { cert, key } = await ca.issue({ commonName: "me" });
  const pair = { "client-certificate-data": btoa(cert), "client-key-data": btoa(key) };
  assert.deepEqual(await credentialOf(pair), { headers: {}, clientCertificate: { cert, key }, ...PROVES });
  const groups = { as: "a", "as-groups": ["g", "h"] };
  assert.deepEqual(await credentialOf(groups), {
    headers: { "impersonate-user": "a", "impersonate-group": "g\nh" },
    hasCredentials: true,
    repeatsHeaders: true,
  });
});

Deno.test("readUser() prefers a token file to a token, a token to a password, and that to a plugin", async () => {
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "x", interactiveMode: "Never" };
  const files = { "/k/t": "from-file" };
  const authorization = async (user: Record<string, unknown>) =>
    (await (await read(user, files)).credentials.get(never)).headers["authorization"];
  assert.equal(await authorization({ tokenFile: "t", token: "t", exec }), "Bearer from-file");
  assert.equal(await authorization({ token: " t\n", exec }), "Bearer t");
  assert.equal(await authorization({ username: "u", exec }), `Basic ${btoa("u:")}`);
  await assert.rejects(authorization({ exec }), /the exec plugin "x": there is no such program/);
});

Deno.test("readUser() sends each field of impersonation, with keys of extra fields in small letters", async () => {
  const { headers } = await credentialOf({
    as: "bot",
    "as-uid": "7",
    "as-groups": ["g"],
    "as-user-extra": { "Acme.com/Project": ["p", "q"], scopes: ["s"] },
  });
  assert.deepEqual(headers, {
    "impersonate-user": "bot",
    "impersonate-uid": "7",
    "impersonate-group": "g",
    "impersonate-extra-acme.com%2Fproject": "p\nq",
    "impersonate-extra-scopes": "s",
  });
});

const CANNOT = "found characters that cannot be sent in a header, want printable ASCII";
const NOBODY =
  '"user.as": found nothing beside "as-uid", "as-groups" or "as-user-extra", want the user to act as';
const FAULTS: readonly (readonly [Record<string, unknown>, readonly string[]])[] = [
  [{ as: "jö" }, [`"user.as": ${CANNOT}`]],
  [{ as: "a\nb" }, [`"user.as": ${CANNOT}`]],
  [{ as: "a\x7f" }, [`"user.as": ${CANNOT}`]],
  [{ as: "a", "as-uid": "\t" }, [`"user.as-uid": ${CANNOT}`]],
  [{ as: "a", "as-groups": ["g", "ü", "h"] }, [`"user.as-groups": ${CANNOT}`]],
  [{ as: "a", "as-user-extra": { k: ["ü"] } }, [`"user.as-user-extra.k": ${CANNOT}`]],
  [{ "as-uid": "7" }, [NOBODY]],
  [{ "as-groups": ["g"] }, [NOBODY]],
  [{ "as-user-extra": { k: ["v"] } }, [NOBODY]],
  [{ "as-groups": [], "as-user-extra": { k: [] } }, []],
  [{ token: "a b" }, ['"user.token": found blanks or control characters, want a token']],
  [{ token: "ü" }, ['"user.token": found blanks or control characters, want a token']],
  [{ username: "a:b" }, ['"user.username": found a name with ":", want one without']],
  [{ username: "a", token: "t" }, [
    '"user.username": found a user name beside a token, want only one of them',
  ]],
  [{ username: "a", tokenFile: "t" }, [
    '"user.username": found a user name beside a token, want only one of them',
  ]],
  [{ tokenFile: "gone" }, ['"user.tokenFile": Cannot use the token file "/k/gone": found no such file']],
  [{ tokenFile: "two" }, [
    '"user.tokenFile": Cannot use the token file "/k/two": found no token, want one line of text',
  ]],
  [{ "auth-provider": { name: "oidc" } }, [
    '"user.auth-provider": found "oidc", which Kubernetes has removed, want "exec" with "kubectl oidc-login" (int128/kubelogin)',
  ]],
  [{ "auth-provider": { config: {} } }, [
    '"user.auth-provider": found "", which Kubernetes has removed, want "exec" with your provider\'s plugin',
  ]],
  [{ "client-certificate": "gone", "client-key": "gone" }, [
    '"user.client-certificate": file "/k/gone": found no such file, want a PEM certificate that is still valid',
    '"user.client-key": file "/k/gone": found no such file, want a PEM private key that is not encrypted',
  ]],
  [{ "client-certificate": "c" }, [
    '"user.client-key": found nothing beside "client-certificate", want "client-key" or "client-key-data"',
  ]],
  [{ "client-key": "k" }, [
    '"user.client-certificate": found nothing beside "client-key", want "client-certificate" or "client-certificate-data"',
  ]],
  [{ "client-certificate": "c", "client-key-data": "!" }, [
    '"user.client-key-data": found invalid base64, want base64 of a PEM private key that is not encrypted',
  ]],
];
for (const [user, expected] of FAULTS) {
  Deno.test(`readUser() says what is wrong with ${JSON.stringify(user)}`, async () => {
    const files = { "/k/t": "token", "/k/two": "two words", "/k/c": ca.cert, "/k/k": ca.key };
    assert.deepEqual((await read(user, files)).problems, expected);
  });
}

Deno.test("readUser() reloads certificate and key from their files, and keeps the part that is inline", async () => {
  const [first, second] = [await ca.issue({ commonName: "1" }), await ca.issue({ commonName: "2" })];
  const user = { "client-certificate": "c", "client-key": "../key" };
  const { credentials, ports } = await read(user, { "/k/c": first.cert, "/key": first.key });
  const pair = async () => (await credentials.get(never)).clientCertificate;
  const trimmed = ({ cert, key }: { cert: string; key: string }) => ({ cert: cert.trim(), key: key.trim() });
  assert.deepEqual(await pair(), trimmed(first));
  ports.machine.files.set("/k/c", second.cert);
  ports.machine.files.set("/key", second.key);
  credentials.refresh();
  assert.deepEqual(await pair(), trimmed(second));
  const half = { "client-certificate": "c", "client-key-data": btoa(first.key) };
  const mixed = await read(half, { "/k/c": first.cert });
  const mixedPair = async () => (await mixed.credentials.get(never)).clientCertificate;
  assert.deepEqual(await mixedPair(), trimmed(first));
  const renewed = await ca.issue({ commonName: "3" });
  mixed.ports.machine.files.set("/k/c", renewed.cert);
  mixed.credentials.refresh();
  assert.deepEqual(await mixedPair(), trimmed(first), "a certificate for another key is not used");
  mixed.ports.machine.files.delete("/k/c");
  mixed.credentials.refresh();
  await assert.rejects(mixedPair(), {
    message: 'Cannot use the client certificate "/k/c": found no such file',
  });
});

Deno.test("readUser() refuses a certificate for another key, whichever of them comes from a file", async () => {
  const other = await ca.issue({ commonName: "other" });
  const { problems } = await read(
    { "client-certificate": "c", "client-key-data": btoa(other.key) },
    { "/k/c": ca.cert },
  );
  assert.deepEqual(problems, [
    '"user.client-certificate": found a certificate for another key than the one of "client-key-data"',
  ]);
});
