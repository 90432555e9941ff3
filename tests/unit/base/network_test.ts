/**
 * Addresses as text.
 *
 * @module
 */
import assert from "node:assert/strict";
import { formatAddress } from "../../../lib/base/network.ts";

Deno.test("formatAddress() shows an IPv4 client of an IPv6 socket by its IPv4 address", () => {
  const shown = (hostname: string) => formatAddress({ hostname, port: 57094 });
  assert.equal(shown("::ffff:10.0.0.8"), "10.0.0.8:57094");
  assert.equal(shown("10.0.0.8"), "10.0.0.8:57094");
  assert.equal(shown("::1"), "[::1]:57094");
  assert.equal(shown("64:ff9b::10.0.0.8"), "[64:ff9b::10.0.0.8]:57094");
});
