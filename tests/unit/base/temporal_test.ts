/**
 * Time zones of the runtime, and of the library where the runtime has none.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Temporal as library } from "temporal-polyfill/implementation";
import { loadZonedTimes, zonedTimes } from "../../../lib/base/temporal.ts";

Deno.test("zonedTimes() is the runtime's own, which loadZonedTimes() leaves", async () => {
  assert.equal(zonedTimes(), globalThis.Temporal);
  await loadZonedTimes();
  assert.equal(zonedTimes(), globalThis.Temporal);
});

/** The module as a runtime without Temporal loads it. */
async function withoutTemporal(): Promise<typeof import("../../../lib/base/temporal.ts")> {
  const { Temporal } = globalThis;
  Reflect.deleteProperty(globalThis, "Temporal");
  try {
    return await import(new URL("../../../lib/base/temporal.ts?without", import.meta.url).href);
  } finally {
    Object.defineProperty(globalThis, "Temporal", { value: Temporal, writable: true, configurable: true });
  }
}

Deno.test("zonedTimes() of a runtime without them is the library, once it is loaded", async () => {
  const module = await withoutTemporal();
  assert.throws(() => module.zonedTimes(), /time zones are used before they are loaded/);
  await module.loadZonedTimes();
  assert.equal(module.zonedTimes(), library);
  assert.notEqual(module.zonedTimes(), globalThis.Temporal);
});
