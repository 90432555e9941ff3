/** A test of those who hear of an event. @module */
import assert from "node:assert/strict";
import { Listeners } from "../../../lib/base/listeners.ts";

Deno.test("Listeners.tell() calls each listener once, in the order in which they came", () => {
  const listeners = new Listeners();
  const heard: string[] = [];
  const first = () => void heard.push("first");
  listeners.add(first);
  listeners.add(() => void heard.push("second"));
  listeners.add(first);
  listeners.tell();
  assert.deepEqual(heard, ["first", "second"]);
});
