/**
 * What is said of errors in the words in which the runtimes report them. The common ones are provoked for real in the
 * integration tests.
 *
 * @module
 */
import assert from "node:assert/strict";
import { publicMessageOf, TimeoutError } from "../../../lib/base/errors.ts";
import type { Connection } from "../../../lib/kube/connection.ts";
import { explain, HandshakeError } from "../../../lib/kube/http_errors.ts";

const connection: Connection = {
  ca: undefined,
  caSource: 'the authority in field "x"',
  proxy: undefined,
  serverName: undefined,
  insecure: false,
  repeatsHeaders: false,
};
const url = new URL("https://api.example:6443/secret/path?token=abc");

/** An error as `fetch` throws it on Deno 2.9. */
function fetchError(text: string): Error {
  return new TypeError("fetch failed", {
    cause: new Error(`error sending request for url (${url}): ${text}`),
  });
}

const CASES: readonly (readonly [string, string])[] = [
  [
    "client error (Connect): tcp connect error: No route to host (os error 113)",
    "there is no route to it, check the network, VPN and firewall",
  ],
  [
    "client error (Connect): tcp connect error: Connection timed out (os error 110)",
    "the connection timed out, check the network, VPN and firewall",
  ],
  [
    "client error (Connect): invalid peer certificate: certificate expired: verification time 1795515701 (UNIX), " +
    "but certificate is not valid after 1795512101 (3600 seconds ago)",
    "the server's certificate has expired at 2026-11-24T09:21:41Z, renew it on the server",
  ],
  [
    "client error (Connect): invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)",
    "the server's certificate is not valid yet, check the clocks of server and client",
  ],
  [
    "received fatal alert: CertificateRequired",
    "the server ended the TLS handshake (CertificateRequired), " +
    "check that the client certificate is there, has not expired and is signed for this cluster",
  ],
  [
    'client error (Connect): invalid peer certificate: certificate not valid for name "api.example"; certificate is ' +
    'only valid for DnsName("kubernetes") or DnsName("kubernetes.default")',
    'the server\'s certificate is not for the name "api.example" but for "kubernetes", "kubernetes.default", ' +
    'set "tls-server-name" of the cluster in the kubeconfig to a name that it is for, or use another server address',
  ],
  [
    "client error (Connect): invalid peer certificate: UnknownIssuer",
    'the server\'s certificate is not signed by the authority in field "x", ' +
    "check that this is the right cluster and its certificate authority",
  ],
  [
    "unable to verify the first certificate UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    'the server\'s certificate is not signed by the authority in field "x", or it has expired, ' +
    "check that this is the right cluster and its certificate authority",
  ],
  [
    "self-signed certificate in certificate chain SELF_SIGNED_CERT_IN_CHAIN",
    'the server\'s certificate is not signed by the authority in field "x", ' +
    "check that this is the right cluster and its certificate authority",
  ],
  [
    "invalid peer certificate: BadSignature",
    'the server\'s certificate cannot be verified with the authority in field "x"',
  ],
  [
    "invalid peer certificate: NotValidForName",
    'the server\'s certificate is not for the name "api.example", ' +
    'set "tls-server-name" of the cluster in the kubeconfig to a name that it is for, or use another server address',
  ],
  [
    "Hostname/IP does not match certificate's altnames: Host: api.example. is not in the cert's altnames: " +
    "DNS:kubernetes, IP Address:10.0.0.1",
    'the server\'s certificate is not for the name "api.example" but for "kubernetes", "10.0.0.1", ' +
    'set "tls-server-name" of the cluster in the kubeconfig to a name that it is for, or use another server address',
  ],
  [
    "invalid peer certificate: certificate not valid for name; certificate is only valid for " +
    ["a", "b", "c", "d", "e"].map((name) => `DnsName("${name}")`).join(", ") +
    ", IpAddress(10.0.0.1) or IpAddress(10.0.0.2)",
    'the server\'s certificate is not for the name "api.example" but for "a", "b", "c", "d", "e", "10.0.0.1", ' +
    'set "tls-server-name" of the cluster in the kubeconfig to a name that it is for, or use another server address',
  ],
  ["CERT_HAS_EXPIRED", "the server's certificate has expired, renew it on the server"],
  [
    "tlsv1 alert bad certificate: SSL alert number 42",
    "the server ended the TLS handshake (bad certificate), " +
    "check that the client certificate is there, has not expired and is signed for this cluster",
  ],
  [
    "ERR_SSL_TLSV13_ALERT_",
    "the server ended the TLS handshake (alert), " +
    "check that the client certificate is there, has not expired and is signed for this cluster",
  ],
  ["proxy authentication required", "the proxy rejected the credentials, check the user and password of it"],
  ["tunnel error: unsuccessful", "the proxy does not connect to it"],
  [
    "client error (Connect): dns error: failed to lookup address information",
    'the name "api.example" cannot be resolved, check it and the DNS',
  ],
  [
    "tcp connect error: Connection refused (os error 111)",
    "the connection was refused, check host and port, and that the server runs",
  ],
  ["connect ENETUNREACH", "there is no route to it, check the network, VPN and firewall"],
  [
    "received corrupt message of type InvalidContentType",
    'it does not speak TLS on this port, check the port or use "http://"',
  ],
  ["invalid HTTP version parsed", "it does not speak HTTP"],
  [
    "write UNKNOWN",
    "the TLS handshake failed and this runtime does not say why, check the server's certificate against " +
    'the authority in field "x" and "tls-server-name", and the client certificate',
  ],
  ["tls handshake eof", "it ended the connection during the TLS handshake, check host and port"],
  ["connection closed before message completed", "it ended the connection"],
];

for (const [text, message] of CASES) {
  Deno.test(`explain() puts into words: ${text.slice(0, 70)}`, () => {
    const cause = fetchError(text);
    const error = explain(cause, url, connection);
    assert.equal(error.message, `Cannot reach the API server "https://api.example:6443": ${message}`);
    assert.equal(error.cause, cause);
  });
}

Deno.test("explain() passes on what it does not know, but not in public", () => {
  const error = explain(new Error("something new"), url, connection);
  const start = 'Cannot reach the API server "https://api.example:6443": ';
  assert.equal(error.message, `${start}something new`);
  assert.equal(publicMessageOf(error), `${start}the request failed, see the log of buildkitd-autoscaler`);
});

Deno.test("explain() says in public what it knows, without where the authority comes from", () => {
  const { publicMessage } = explain(fetchError("invalid peer certificate: UnknownIssuer"), url, connection);
  assert.match(publicMessage, /is not signed by the certificate authority that the proxy is given, check/);
  assert.ok(!publicMessage.includes(connection.caSource));
});

Deno.test("explain() names the proxy without its password, and the variable that names it", () => {
  const proxy = new URL("http://me:hunter2@proxy.example:3128");
  const refused = fetchError("client error (Connect): tcp connect error: Connection refused (os error 111)");
  for (const [proxySource, from] of [["HTTPS_PROXY", " (HTTPS_PROXY)"], [undefined, ""]] as const) {
    assert.equal(
      explain(refused, url, { ...connection, proxy, proxySource }).message,
      `Cannot reach the API server "https://api.example:6443" through the proxy "proxy.example:3128"${from}: ` +
        "the connection was refused, check that the server and the proxy run",
    );
  }
});

Deno.test("explain() names the server name and the proxy that the connection has, and blames http for http", () => {
  const of = (text: string, given: Partial<Connection>, to = url) =>
    explain(fetchError(text), to, { ...connection, ...given }).message.replace(/^.*?": /, "");
  const proxy = new URL("http://proxy.example");
  assert.match(of("altnames", { serverName: "k8s" }), /is not for the name "k8s", set/);
  assert.match(of("dns error", { proxy }), /the name "proxy.example" cannot be resolved/);
  assert.match(
    of("proxy authentication required", { proxy, proxySource: "HTTPS_PROXY" }),
    /check the user and password of HTTPS_PROXY$/,
  );
  assert.equal(
    of("invalid HTTP version parsed", {}, new URL("http://api.example")),
    'it does not speak plaintext HTTP on this port, use "https://"',
  );
});

Deno.test("explain() looks at an error's code where the text says nothing", () => {
  const coded = (code: string) => explain(Object.assign(new Error("x"), { code }), url, connection).message;
  assert.match(coded("ENOTFOUND"), /cannot be resolved/);
  assert.match(coded("CERT_HAS_EXPIRED"), /has expired, renew/);
});

Deno.test("explain() leaves a time-out of our own as it is", () => {
  const error = explain(new TimeoutError("no answer: connection refused"), url, connection);
  assert.match(error.message, /": no answer: connection refused$/);
});

const HANDSHAKES: Readonly<Record<string, boolean>> = {
  "invalid peer certificate: UnknownIssuer": true,
  "invalid peer certificate: BadSignature": true,
  "invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)": true,
  'invalid peer certificate: certificate not valid for name "api.example"': true,
  "invalid peer certificate: certificate expired: verification time 1": true,
  "received fatal alert: BadCertificate": true,
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE": true,
  "write UNKNOWN": true,
  "tls handshake eof": false,
  "operation timed out": false,
  "tcp connect error: Connection refused (os error 111)": false,
  "dns error: failed to lookup address information": false,
  "connection closed before message completed": false,
  "received corrupt message of type InvalidContentType": false,
};

for (const [text, isHandshake] of Object.entries(HANDSHAKES)) {
  Deno.test(`explain() takes for ${isHandshake ? "a" : "no"} failed handshake: ${text}`, () => {
    assert.equal(explain(fetchError(text), url, connection) instanceof HandshakeError, isHandshake);
  });
}
