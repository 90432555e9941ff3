/** Tests of asking for one pod where the rights may be missing. @module */
import assert from "node:assert/strict";
import type { Metrics } from "../../../lib/base/metrics.ts";
import { orAborted } from "../../../lib/base/or_aborted.ts";
import type { Http } from "../../../lib/kube/http.ts";
import { askForPod } from "../../../lib/scaler/pod_inquiry.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const POD = { metadata: { name: "b-0", uid: "of-the-pod" } };

/** Asks an API server that answers with this status, if at all, and with this body, if that is 200. */
function ask(status: number | undefined, signal = new AbortController().signal, answer: unknown = POD) {
  const clock = new VirtualClock();
  const errors: string[] = [];
  const asked: string[] = [];
  const metrics: Metrics = {
    record: (name, _, labels) =>
      void (name === "api_errors_total" && errors.push((labels as { code: string }).code)),
  };
  const http: Http = {
    async send({ url, method, signal }) {
      asked.push(`${method} ${url.pathname}`);
      if (status === undefined) await orAborted(new Promise(() => {}), signal);
      const body = status === 200 ? answer : { kind: "Status", code: status };
      return { status: status!, headers: new Headers(), body: new Response(JSON.stringify(body)).body! };
    },
    reset: () => {},
    close: () => {},
  };
  const client = testClient(http, { clock, log: recordingLog(), metrics });
  return { clock, errors, asked, found: askForPod("n", "b-0", { client, clock }, signal) };
}

for (
  const [status, found, errors] of [
    [200, POD, []],
    [404, "missing", []],
    [403, "forbidden", []],
    [410, undefined, ["410"]],
    [500, undefined, ["500"]],
  ] as const
) {
  Deno.test(`askForPod() finds ${Deno.inspect(found)} where the answer is ${status}`, async () => {
    const asking = ask(status);
    assert.deepEqual(await asking.found, found);
    assert.deepEqual(asking.asked, ["GET /api/v1/namespaces/n/pods/b-0"]);
    assert.deepEqual(asking.errors, errors, "a pod that is gone and a missing right are no faults");
    assert.equal(asking.clock.pending, 0, "no timer is left");
  });
}

for (
  const answer of [null, 7, [], {}, { kind: "Status" }, { metadata: null }, { metadata: { name: "b-0" } }]
) {
  Deno.test(`askForPod() takes ${JSON.stringify(answer)}, as some gateway may send it, for no answer`, async () => {
    const asking = ask(200, undefined, answer);
    assert.equal(await asking.found, undefined);
    assert.equal(asking.clock.pending, 0, "no timer is left");
  });
}

Deno.test("askForPod() waits for two seconds, and no longer than its caller", async () => {
  const asking = ask(undefined);
  let answered = false;
  void asking.found.then(() => answered = true);
  await asking.clock.advance(1_999);
  assert.equal(answered, false);
  await asking.clock.advance(1);
  assert.equal(answered, true);
  const controller = new AbortController();
  const { clock, found } = ask(undefined, controller.signal);
  controller.abort(new Error("over"));
  assert.equal(await found, undefined);
  assert.equal(clock.pending, 0, "no timer is left");
});
