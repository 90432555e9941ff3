/**
 * The contract of Events: what their writer relies on, and what a server refuses.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertStatus, type Clause, type Contract, uniqueName } from "./target.ts";

const TIME = "2026-01-02T03:04:05.678000Z";

/** An Event as the program writes it. */
function eventOf({ target: { namespace } }: Contract, changes: Record<string, unknown> = {}) {
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: uniqueName("buildkitd.one-1"), namespace },
    eventTime: TIME,
    type: "Normal",
    reason: "ScaledUp",
    action: "Scale",
    note: "Scaled from 0 to 1: 1 held session",
    regarding: { apiVersion: "apps/v1", kind: "StatefulSet", namespace, name: "buildkitd", uid: "11111111" },
    reportingController: "buildkitd-autoscaler",
    reportingInstance: "buildkitd-autoscaler-one",
    ...changes,
  };
}

/** Creates an Event that is deleted again. */
// deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
function created(contract: Contract, changes: Record<string, unknown> = {}): Promise<any> {
  return contract.event(eventOf(contract, changes));
}

/** What is wrong with an Event, and the field that the server names. */
const REFUSED: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ["no time", { eventTime: null }, "eventTime"],
  ["another type", { type: "Error" }, "type"],
  ["no reason", { reason: "" }, "reason"],
  ["a reason of 129 characters", { reason: "a".repeat(129) }, "reason"],
  ["no action", { action: "" }, "action"],
  ["no controller", { reportingController: "" }, "reportingController"],
  ["no instance", { reportingInstance: "" }, "reportingInstance"],
  ["an instance of 129 characters", { reportingInstance: "a".repeat(129) }, "reportingInstance"],
  // Events were of the core group once, and errors still say so.
  ["a note of 1025 bytes", { note: `${"a".repeat(1023)}é` }, "message"],
  ["a series of one", { series: { count: 1, lastObservedTime: TIME } }, "series.count"],
  ["a series without a time", { series: { count: 2, lastObservedTime: null } }, "series.lastObservedTime"],
];

/** The clauses. */
export const EVENT_CONTRACT: readonly Clause[] = [
  {
    title: "an Event is kept as it was created, with a note of 1024 bytes and a series, too",
    async run(contract) {
      const note = "é".repeat(512);
      const series = { count: 2, lastObservedTime: TIME };
      const { metadata: { name } } = await created(contract, { note, series });
      const read = await contract.expect(200, contract.get(contract.path("events", name)));
      const wanted = { ...eventOf(contract, { note, series }), metadata: read.metadata };
      assert.deepEqual(read, { ...read, ...wanted });
    },
  },
  {
    title: "an Event that exists cannot be created again: 409 AlreadyExists",
    async run(contract) {
      const event = await created(contract);
      const again = eventOf(contract, { metadata: { name: event.metadata.name } });
      const refused = await contract.expect(409, contract.request("POST", contract.path("events"), again));
      assertStatus(refused, 409, "AlreadyExists");
    },
  },
  {
    title: "an Event that lacks something, or says too much, is refused: 422",
    async run(contract) {
      for (const [what, changes, field] of REFUSED) {
        const path = contract.path("events");
        const refused = await contract.expect(
          422,
          contract.request("POST", path, eventOf(contract, changes)),
        );
        assertStatus(refused, 422, "Invalid");
        assert.equal(refused.details.causes[0].field, field, what);
      }
    },
  },
  {
    title: "the time of an Event has six digits after the second: 400 with three",
    async run(contract) {
      const body = eventOf(contract, { eventTime: "2026-01-02T03:04:05.678Z" });
      const refused = await contract.expect(400, contract.request("POST", contract.path("events"), body));
      assertStatus(refused, 400, "BadRequest");
    },
  },
  {
    title: "a patch continues the series of an Event",
    async run(contract) {
      const { metadata: { name } } = await created(contract);
      const path = contract.path("events", name);
      for (const count of [2, 5]) {
        const series = { count, lastObservedTime: TIME };
        const patched = await contract.expect(200, contract.merge(path, { series }));
        assert.deepEqual(patched.series, series);
      }
    },
  },
  {
    title: "a patch of an Event changes its series alone, which counts from 2: 422",
    async run(contract) {
      const { metadata: { name } } = await created(contract);
      const path = contract.path("events", name);
      const series = { count: 2, lastObservedTime: TIME };
      for (
        const [patch, field] of [
          [{ note: "b" }, "message"],
          [{ note: "b", series }, "message"],
          [{ type: "Warning", series }, "type"],
          [{ series: { ...series, count: 1 } }, "series.count"],
        ] as const
      ) {
        const refused = await contract.expect(422, contract.merge(path, patch));
        assertStatus(refused, 422, "Invalid");
        assert.equal(refused.details.causes[0].field, field, JSON.stringify(patch));
      }
    },
  },
  {
    title: "a patch of an Event that has expired is a 404",
    async run(contract) {
      const path = contract.path("events", uniqueName("e"));
      const series = { count: 2, lastObservedTime: TIME };
      assertStatus(await contract.expect(404, contract.merge(path, { series })), 404, "NotFound");
    },
  },
];
