/**
 * What is taken for a network, and which addresses it has.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isWithin, parseIpNetwork } from "../../../lib/config/ip_networks.ts";

const WITHIN: readonly (readonly [address: string, network: string, expected: boolean])[] = [
  ["10.1.2.3", "10.0.0.0/8", true],
  ["11.0.0.0", "10.0.0.0/8", false],
  ["192.0.2.129", "192.0.2.128/25", true],
  ["192.0.2.127", "192.0.2.128/25", false],
  ["192.0.2.1", "192.0.2.1", true],
  ["192.0.2.2", "192.0.2.1/32", false],
  ["203.0.113.7", "0.0.0.0/0", true],
  ["::1", "0.0.0.0/0", false],
  ["10.1.2.3", "::/0", false],
  ["2001:db8:1::5", "2001:db8::/32", true],
  ["2001:db9::5", "2001:db8::/32", false],
  ["2001:0DB8:0:0:0:0:0:1", "2001:db8::1", true],
  ["fe80::1%eth0", "fe80::/10", true],
  // A socket for both families gives addresses of IPv4 in this form.
  ["::ffff:10.1.2.3", "10.0.0.0/8", true],
  ["::ffff:a01:203", "10.0.0.0/8", true],
  ["::ffff:11.1.2.3", "10.0.0.0/8", false],
  ["localhost", "0.0.0.0/0", false],
  // And people write networks of IPv4 in it.
  ["10.1.2.3", "::ffff:10.0.0.0/104", true],
  ["::ffff:11.1.2.3", "::ffff:10.0.0.0/104", false],
  ["203.0.113.7", "::ffff:0:0/96", true],
  ["10.1.2.3", "::ffff:10.1.2.3/128", true],
];

for (const [address, network, expected] of WITHIN) {
  Deno.test(`isWithin() says that ${address} is ${expected ? "" : "not "}in ${network}`, () => {
    assert.equal(isWithin(address, parseIpNetwork(network)!), expected);
  });
}

Deno.test("parseIpNetwork() refuses what is no network", () => {
  for (
    const text of [
      "",
      "10.0.0.0/33",
      "10.1.0.0/8",
      "10.0.0/8",
      "10.0.0.0/",
      "2001:db8::/129",
      "2001:db8::1/32",
      "::1%lo",
      "::ffff:10.0.0.0/8",
      "::ffff:10.0.0.0/24",
      "::ffff:10.1.0.0/104",
      "::ffff:0:0/95",
      "10.0.0.0/08",
      "a.example.org",
      "10.0.0.0/8 ",
    ]
  ) {
    assert.equal(parseIpNetwork(text), undefined, text);
  }
});
