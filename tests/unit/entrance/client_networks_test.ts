/**
 * Tests of what is remembered of networks.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ClientNetworks } from "../../../lib/entrance/client_networks.ts";

Deno.test("ClientNetworks counts failures beside places, and takes a success for 64 places less", () => {
  const networks = new ClientNetworks();
  assert.equal(networks.weightOf("a", 3), 3);
  networks.failed("a");
  networks.failed("a");
  assert.equal(networks.weightOf("a", 3), 5);
  networks.succeeded("a");
  assert.equal(networks.weightOf("a", 3), -61);
  networks.failed("a");
  assert.equal(networks.weightOf("a", 3), -60, "one failure is not the end of that");
});

Deno.test("ClientNetworks remembers the last 4,096 networks", () => {
  const networks = new ClientNetworks();
  for (let i = 0; i < 4_096; i++) networks.failed(`${i}`);
  networks.failed("0");
  networks.failed("one more");
  assert.deepEqual(["0", "1", "2"].map((network) => networks.weightOf(network, 0)), [2, 0, 1]);
});
