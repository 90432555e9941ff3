/**
 * Settings of TLS and of load balancers: values, and what does not fit together.
 *
 * @module
 */
import assert from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import { type SettingKey, type Settings, settingsAsText } from "../../../lib/config/settings.ts";

type Flags = Partial<Record<SettingKey, string>>;

function parse(flags: Flags): Settings {
  return parseSettings({ flags: new Map(Object.entries(flags)) as Map<SettingKey, string>, variables: {} });
}

function problemsOf(flags: Flags): readonly string[] {
  try {
    parse(flags);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
  return [];
}

const TLS: Flags = { tlsListenAddr: ":8443", tlsCert: "tls.crt", tlsKey: "tls.key" };

Deno.test("parseSettings() takes TLS beside the plain listener, and instead of it", () => {
  assert.deepEqual(parse(TLS).tlsListenAddr, { hostname: "::", port: 8443 });
  assert.equal(parse({ ...TLS, listenAddr: "OFF" }).listenAddr, "off");
  assert.equal(settingsAsText(parse({ ...TLS, listenAddr: "off" }))["listen-addr"], "off");
});

Deno.test("parseSettings() takes lists of names and networks", () => {
  const settings = parse({
    ...TLS,
    tlsClientCa: "ca.crt",
    tlsClientNames: "ci.example.org, spiffe://example.org/ci",
    proxyProtocol: "require",
    proxyProtocolFrom: "10.0.0.0/8,2001:db8::/32",
  });
  assert.deepEqual(settings.tlsClientNames, ["ci.example.org", "spiffe://example.org/ci"]);
  assert.deepEqual(settings.proxyProtocolFrom?.map(({ prefixBits }) => prefixBits), [8, 32]);
  const text = settingsAsText(settings);
  assert.equal(text["tls-client-names"], "ci.example.org,spiffe://example.org/ci");
  assert.equal(text["proxy-protocol-from"], "10.0.0.0/8,2001:db8::/32");
});

const REFUSED: readonly (readonly [what: string, flags: Flags, ...problems: readonly string[]])[] = [
  [
    "no listener at all",
    { listenAddr: "off" },
    'Cannot listen for clients: found "off" for both "--listen-addr" and "--tls-listen-addr", want one address',
  ],
  [
    "one port for two listeners",
    { ...TLS, tlsListenAddr: ":8080" },
    'Cannot listen on both "--listen-addr" and "--tls-listen-addr": found ":8080" and ":8080", want different ports',
  ],
  [
    "the admin port for TLS",
    { ...TLS, tlsListenAddr: "127.0.0.1:8081" },
    'Cannot listen on both "--tls-listen-addr" and "--admin-addr": found "127.0.0.1:8081" and ":8081", want ' +
    "different ports",
  ],
  [
    "TLS without its files",
    { tlsListenAddr: ":8443" },
    'Cannot use "--tls-listen-addr" without "--tls-cert": want the file with the certificate',
    'Cannot use "--tls-listen-addr" without "--tls-key": want the file with its key',
  ],
  [
    "files of TLS without TLS, and names without authorities",
    { tlsCert: "tls.crt", tlsKey: "tls.key", tlsClientNames: "ci" },
    'Cannot use "--tls-cert" and "--tls-key" without "--tls-listen-addr": nothing would be encrypted',
    'Cannot use "--tls-client-names" without "--tls-client-ca": clients would not be asked for a certificate',
  ],
  [
    "an empty name",
    { ...TLS, tlsClientCa: "ca.crt", tlsClientNames: "a,,b" },
    'Cannot parse "--tls-client-names": found "a,,b", want a list such as "ci.example.org,spiffe://example.org/ci"',
  ],
  [
    "headers from anybody",
    { proxyProtocol: "require" },
    'Cannot use "--proxy-protocol require" without "--proxy-protocol-from": want the networks of the load balancers, ' +
    "since anybody else could claim to be any client",
  ],
  [
    "networks without headers",
    { proxyProtocolFrom: "10.0.0.0/8" },
    'Cannot use "--proxy-protocol-from" without "--proxy-protocol require"',
  ],
  [
    "a network with bits after its prefix",
    { proxyProtocol: "require", proxyProtocolFrom: "10.0.0.1/8" },
    'Cannot parse "--proxy-protocol-from": found "10.0.0.1/8", want a list such as "10.0.0.0/8,2001:db8::/32"',
  ],
];

for (const [what, flags, ...problems] of REFUSED) {
  Deno.test(`parseSettings() refuses ${what}`, () => assert.deepEqual(problemsOf(flags), problems));
}
