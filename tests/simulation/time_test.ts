/** Tests of the simulation's own time. @module */
import assert from "node:assert/strict";
import { Machine, WorldTime } from "./time.ts";

Deno.test("Machine: what reaches a process that stands still, or catches up, keeps its order", async () => {
  const time = new WorldTime();
  const machine = new Machine("m", time);
  const seen: number[] = [];
  const deliver = (n: number) => machine.deliver(() => seen.push(n));
  machine.stop("frozen");
  deliver(1);
  deliver(2);
  time.setTimer(10, () => {
    machine.goOn();
    deliver(3);
  });
  time.setTimer(10, () => deliver(4));
  time.setTimer(11, () => deliver(5));
  await time.run(time.nowMs() + 20);
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
});
