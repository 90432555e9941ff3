/** Tests of the lists of records that several scale targets share. @module */
import assert from "node:assert/strict";
import { RecordLists } from "../../../lib/ha/record_lists.ts";
import type { Lease } from "../../../lib/kube/types.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const OVER = new Error("The StatefulSet was recreated");
const LIST: readonly Lease[] = [{ metadata: { name: "a" } }];

/** Lists whose requests a test answers, as long as they are not aborted. */
function setUp() {
  const clock = new VirtualClock();
  const requests: { readonly signal: AbortSignal; readonly answer: (leases: readonly Lease[]) => void }[] =
    [];
  const leases = {
    list: (_selector: string, signal: AbortSignal) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly Lease[]>();
      signal.addEventListener("abort", () => reject(signal.reason));
      requests.push({ signal, answer: resolve });
      return promise;
    },
  };
  const lists = new RecordLists(["b"], { clock, leases });
  /** One more caller, who may leave. */
  const call = () => {
    const controller = new AbortController();
    const got = lists.get(5_000, controller.signal).then(({ leases }) => leases, (error) => error);
    return { got, leave: () => controller.abort(OVER) };
  };
  return { clock, requests, lists, call };
}

Deno.test("RecordLists: a caller that leaves, also the first, does not take the list from the others", async () => {
  const { requests, call } = setUp();
  const [first, second] = [call(), call()];
  first.leave();
  assert.equal(await first.got, OVER);
  assert.equal(requests[0]!.signal.aborted, false);
  const third = call();
  requests[0]!.answer(LIST);
  assert.deepEqual([await second.got, await third.got], [LIST, LIST]);
  assert.equal(requests.length, 1);
});

Deno.test("RecordLists ends a request that nobody waits for any more, and asks anew for the next caller", async () => {
  const { requests, call } = setUp();
  const callers = [call(), call()];
  for (const { leave } of callers) leave();
  assert.deepEqual(await Promise.all(callers.map(({ got }) => got)), [OVER, OVER]);
  assert.equal(requests[0]!.signal.aborted, true);
  const next = call();
  requests[1]!.answer(LIST);
  assert.deepEqual(await next.got, LIST);
});

Deno.test("RecordLists asks nothing for a caller that has left", async () => {
  const { requests, lists } = setUp();
  await assert.rejects(lists.get(5_000, AbortSignal.abort(OVER)), OVER);
  assert.equal(requests.length, 0);
});
