/**
 * Listen addresses as Go writes them.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bindHostnames,
  formatListenAddress,
  isIpv4,
  isIpv6,
  overlaps,
  parseAddress,
} from "../../../lib/config/address.ts";

Deno.test("parseAddress() takes Go's forms", () => {
  const right: [string, string, number][] = [
    [":8080", "::", 8080],
    [":0", "::", 0],
    ["127.0.0.1:8080", "127.0.0.1", 8080],
    ["0.0.0.0:65535", "0.0.0.0", 65535],
    ["[::1]:8080", "::1", 8080],
    ["[fe80::1%eth0]:1", "fe80::1%eth0", 1],
    ["[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80],
    ["localhost:080", "localhost", 80],
  ];
  for (const [text, hostname, port] of right) assert.deepEqual(parseAddress(text), { hostname, port }, text);
});

Deno.test("parseAddress() refuses what is no address", () => {
  const wrong = [
    "",
    "8080",
    ":",
    "localhost",
    ":65536",
    ":-1",
    ":http",
    "::1:8080",
    "[::1]",
    "[]:80",
    "[1.2.3.4]:80",
  ];
  const more = [
    "256.0.0.1:80",
    "01.2.3.4:80",
    "1.2.3:80",
    "a b:80",
    ":8080 ",
    " :8080",
    "[::1]x:80",
    "[::g]:1",
    "-a:1",
  ];
  for (const text of [...wrong, ...more]) assert.equal(parseAddress(text), undefined, text);
});

Deno.test("parseAddress() takes names of hosts, and no number as their last part", () => {
  const label = "a".repeat(63);
  const longest = [label, label, label, "b".repeat(61)].join(".");
  for (const host of ["a", "a-b", "A_1.example", "1.a", "_x", label, longest]) {
    assert.deepEqual(parseAddress(`${host}:1`), { hostname: host, port: 1 }, host);
  }
  for (const host of ["a.1", "1", "a-", "-a", "a..b", ".a", "a.", `${label}a`, `${longest}b`, "a/b", "a%b"]) {
    assert.equal(parseAddress(`${host}:1`), undefined, host);
  }
  assert.deepEqual(formatListenAddress({ hostname: "a", port: 1 }), "a:1");
});

Deno.test("isIpv4() and isIpv6() refuse malformed addresses", () => {
  for (const host of ["1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.", "a.2.3.4", "1.2.3.4444", ""]) {
    assert.equal(isIpv4(host), false, host);
  }
  for (const host of ["0.0.0.0", "255.255.255.255", "9.10.99.100"]) assert.equal(isIpv4(host), true, host);
  for (const host of ["", "::g", "1", "abcd", ":::", "::1%", "1:2:3:4:5:6:7:8:9", "::1]/[", "12345::"]) {
    assert.equal(isIpv6(host), false, host);
  }
  for (const host of ["::", "::1%0", "fe80::1%eth0", "::1.2.3.4", "ABCD::"]) {
    assert.equal(isIpv6(host), true, host);
  }
});

Deno.test("formatListenAddress() writes what parseAddress() reads", () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant("::"));
  fc.assert(fc.property(host, fc.nat(65535), (hostname, port) => {
    assert.deepEqual(parseAddress(formatListenAddress({ hostname, port })), { hostname, port });
  }));
});

Deno.test("isIpv4() and isIpv6() tell the two apart", () => {
  fc.assert(fc.property(fc.ipV4(), (host) => assert.ok(isIpv4(host) && !isIpv6(host))));
  fc.assert(fc.property(fc.ipV6(), (host) => assert.ok(isIpv6(host) && !isIpv4(host))));
});

Deno.test("overlaps() detects listeners that conflict", () => {
  const at = (text: string) => parseAddress(text)!;
  const pairs: [string, string, boolean][] = [
    [":80", ":80", true],
    [":80", "127.0.0.1:80", true],
    [":80", "[::1]:80", true],
    ["0.0.0.0:80", "127.0.0.1:80", true],
    ["0.0.0.0:80", "[::1]:80", false],
    ["127.0.0.1:80", "127.0.0.2:80", false],
    [":80", ":81", false],
    [":0", ":0", false],
  ];
  for (const [a, b, expected] of pairs) {
    assert.equal(overlaps(at(a), at(b)), expected, `${a} ${b}`);
    assert.equal(overlaps(at(b), at(a)), expected, `${b} ${a}`);
  }
});

Deno.test("bindHostnames() names IPv4 as well where all interfaces are asked for", () => {
  assert.deepEqual(bindHostnames("::"), ["::", "0.0.0.0"]);
  assert.deepEqual(bindHostnames("::1"), ["::1"]);
});

Deno.test("bindHostnames() begins with a host on which a listener for all interfaces serves IPv4", async () => {
  const { hostname, port } = parseAddress(":0")!;
  const listener = Deno.listen({ hostname: bindHostnames(hostname)[0]!, port });
  const [client, server] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  for (const resource of [client, server, listener]) resource.close();
});
