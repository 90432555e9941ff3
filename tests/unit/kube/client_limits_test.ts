/** Tests of the client's deadlines and bounds, of what it counts, and of when its callers may try again. @module */
import assert from "node:assert/strict";
import { TimeoutError } from "../../../lib/base/errors.ts";
import { ApiError, isConflict, isExpired, isForbidden } from "../../../lib/kube/api_error.ts";
import { type ApiRequest, retryDelayMs } from "../../../lib/kube/client.ts";
import type { HttpRequest, HttpResponse } from "../../../lib/kube/http.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const TARGET = { verb: "get", group: "apps", resource: "statefulsets", namespace: "n", name: "b" } as const;
const REQUEST: ApiRequest = { target: TARGET, method: "GET" };

/** A client, and a server that answers each request as `answer` says. */
function setUp(answer: (request: HttpRequest) => Promise<HttpResponse>) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const sent: HttpRequest[] = [];
  let resets = 0;
  const http = {
    send(request: HttpRequest) {
      sent.push(request);
      return answer(request);
    },
    reset: () => void resets++,
    close: () => {},
  };
  const client = testClient(http, { clock, log, metrics });
  const ask = (request: Partial<ApiRequest> = {}, signal = new AbortController().signal) => {
    const outcome: { got?: unknown; error?: unknown } = {};
    const done = client.json({ ...REQUEST, ...request }, signal)
      .then((got) => void (outcome.got = got), (error) => void (outcome.error = error));
    return { outcome, done };
  };
  return { client, clock, log, metrics, sent, resets: () => resets, ask };
}

/** Waits for ever, but for the signal. */
const silent = ({ signal }: HttpRequest) =>
  new Promise<HttpResponse>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

/** An answer whose body is these chunks, and then nothing more. */
function endless(status: number, ...chunks: readonly string[]) {
  const cancelled: unknown[] = [];
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
    },
    cancel: (reason) => void cancelled.push(reason),
  });
  return { response: { status, headers: new Headers(), body }, cancelled };
}

const json = (value: unknown, init?: ResponseInit): Promise<HttpResponse> => {
  const { status, headers, body } = Response.json(value, init);
  return Promise.resolve({ status, headers, body: body! });
};

Deno.test("KubeClient gives up without headers after 10 s, and does not use the connection again", async () => {
  const { client, clock, resets, ask } = setUp(silent);
  const { outcome } = ask();
  await clock.advance(9_999);
  assert.deepEqual([outcome, resets(), client.access.cause], [{}, 0, undefined]);
  await clock.advance(1);
  assert.ok(outcome.error instanceof TimeoutError);
  assert.equal(
    outcome.error.message,
    'Cannot get statefulsets "b" in namespace "n": no headers of an answer from api.test within 10s',
  );
  assert.equal(client.access.cause, 'Cannot reach the API server "http://api.test": no answer within 10s');
  assert.equal(resets(), 1);
  assert.equal(clock.pending, 0);
});

Deno.test("KubeClient gives up a body that does not end 10 s after its headers", async () => {
  const { response, cancelled } = endless(200, '{"a":');
  const { clock, resets, ask } = setUp(() => Promise.resolve(response));
  const { outcome } = ask();
  await clock.advance(9_999);
  assert.deepEqual([outcome, resets()], [{}, 0]);
  await clock.advance(1);
  assert.match(String(outcome.error), /^TimeoutError: .*: no body of an answer from api.test within 10s$/);
  assert.deepEqual([resets(), cancelled, clock.pending], [1, [outcome.error], 0]);
});

Deno.test("KubeClient reports a refusal whose text does not end, without the text", async () => {
  const { response } = endless(409, '{"kind":"Status"');
  const { clock, ask } = setUp(() => Promise.resolve(response));
  const { outcome } = ask();
  await clock.advance(10_000);
  assert.equal(String(outcome.error), 'ApiError: Cannot get statefulsets "b" in namespace "n": HTTP 409');
  assert.equal(clock.pending, 0);
});

Deno.test("KubeClient lets a watch's body go on without a limit, and ends it with the signal", async () => {
  const { response } = endless(200, "first");
  const { client, clock, sent } = setUp(() => Promise.resolve(response));
  const controller = new AbortController();
  const { body } = await client.open(REQUEST, controller.signal);
  await clock.advance(600_000);
  const reader = body.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "first");
  assert.equal(sent[0]!.signal.aborted, false);
  assert.equal(clock.pending, 0);
});

Deno.test("KubeClient ends with the signal's reason at any moment, and takes that for no fault of the API", async () => {
  const reason = new Error("enough");
  const aborted = AbortSignal.abort(reason);
  const atOnce = setUp(silent);
  await atOnce.ask({}, aborted).done;
  assert.deepEqual(atOnce.sent, []);
  const { response, cancelled } = endless(200, "{");
  for (const answer of [silent, () => Promise.resolve(response)]) {
    const { client, clock, metrics, resets, ask } = setUp(answer);
    const controller = new AbortController();
    const { outcome, done } = ask({}, controller.signal);
    await settle();
    controller.abort(reason);
    await done;
    assert.equal(outcome.error, reason);
    assert.equal(client.access.cause, undefined);
    assert.equal(metrics.value("api_requests_total"), 1);
    assert.equal(metrics.value("api_errors_total"), 0);
    assert.deepEqual([resets(), clock.pending], [0, 0]);
  }
  assert.deepEqual(cancelled, [reason]);
});

Deno.test("KubeClient cancels an answer that comes when nobody waits for it any more", async () => {
  const { response, cancelled } = endless(200, "{}");
  const late = Promise.withResolvers<HttpResponse>();
  const { ask } = setUp(() => late.promise);
  const controller = new AbortController();
  const { outcome, done } = ask({}, controller.signal);
  await settle();
  const reason = new Error("enough");
  controller.abort(reason);
  late.resolve(response);
  await done;
  assert.deepEqual([outcome.error, cancelled], [reason, [reason]]);
});

Deno.test("KubeClient refuses an answer that is no JSON, and one of more than 8 MiB", async () => {
  const text = (body: string): Promise<HttpResponse> => {
    const response = new Response(body);
    return Promise.resolve({ status: 200, headers: response.headers, body: response.body! });
  };
  const noJson = setUp(() => text("<html>"));
  const first = noJson.ask();
  await first.done;
  assert.equal(
    String(first.outcome.error),
    'Error: Cannot get statefulsets "b" in namespace "n": the answer is not JSON',
  );
  const whole = `"${"é".repeat(4 * 1024 * 1024 - 1)}"`; // 8 MiB
  const fits = setUp(() => text(whole)).ask();
  await fits.done;
  assert.equal((fits.outcome.got as string).length, 4 * 1024 * 1024 - 1);
  const tooLong = endless(200, whole, " ");
  const second = setUp(() => Promise.resolve(tooLong.response)).ask();
  await second.done;
  assert.match(String(second.outcome.error), /it is longer than 8388608 bytes$/);
  assert.equal(tooLong.cancelled.length, 1);
});

Deno.test("KubeClient quotes the beginning of an error that is none of Kubernetes", async () => {
  const messageOf = async (body: string) => {
    const response = new Response(body, { status: 503 });
    const { status, headers } = response;
    const { outcome, done } = setUp(() => Promise.resolve({ status, headers, body: response.body! })).ask();
    await done;
    return (outcome.error as ApiError).detail;
  };
  assert.equal(await messageOf(`  <p>${"x".repeat(300)}`), `HTTP 503: <p>${"x".repeat(195)}`);
  assert.equal(
    await messageOf('{"reason":"Other","message":"m"}'),
    'HTTP 503: {"reason":"Other","message":"m"}',
  );
  assert.equal(await messageOf("null"), "HTTP 503: null");
  assert.equal(await messageOf('{"kind":"Status","reason":"R","message":"m"}'), "HTTP 503 R: m");
});

Deno.test("KubeClient counts requests by verb and failures by status, but not those that are expected", async () => {
  const { metrics, ask } = setUp(() => json({ kind: "Status" }, { status: 404 }));
  await ask({ expected: [409] }).done;
  await ask({ expected: [404] }).done;
  await ask().done;
  assert.equal(metrics.value("api_requests_total", { verb: "get" }), 3);
  assert.equal(metrics.value("api_errors_total", { verb: "get", code: "404" }), 2);
  const refused = setUp(() => Promise.reject(new Error("refused")));
  await refused.ask({ expected: [404] }).done;
  assert.equal(refused.metrics.value("api_errors_total", { verb: "get", code: "none" }), 1);
  const good = setUp(() => json({}));
  await good.ask().done;
  assert.equal(good.metrics.value("api_errors_total"), 0);
});

Deno.test("KubeClient takes a request that fails while another is answered for no lack of access", async () => {
  const first = Promise.withResolvers<HttpResponse>();
  const refused = () => Promise.reject(new Error("refused"));
  const answers = [() => first.promise, () => json({}), refused];
  const { client, clock, ask } = setUp(() => answers.shift()!());
  const { done } = ask();
  await clock.advance(1_000);
  await ask().done;
  await clock.advance(1_000);
  first.reject(new Error("refused"));
  await done;
  assert.equal(client.access.cause, undefined);
  await ask().done;
  assert.equal(client.access.cause, "refused");
  const next = setUp(() => json({}));
  await next.ask().done;
  next.client.cluster.http.send = refused;
  await next.ask().done;
  assert.equal(next.client.access.cause, "refused", "what is sent after an answer fails by itself");
});

const AFTER: Readonly<Record<string, number | undefined>> = {
  "7": 7_000,
  "0": 0,
  "-1": undefined,
  soon: undefined,
};
for (const [header, expectedMs] of [...Object.entries(AFTER), [undefined, undefined] as const]) {
  Deno.test(`KubeClient waits ${expectedMs ?? "as it likes"} for Retry-After ${header ?? "that is not there"}`, async () => {
    const headers: HeadersInit = header === undefined ? {} : { "retry-after": header };
    const { outcome, done } = setUp(() => json({}, { status: 429, headers })).ask();
    await done;
    assert.equal((outcome.error as ApiError).retryAfterMs, expectedMs);
  });
}

Deno.test("retryDelayMs() grows from 100 ms to 10 s, and follows the server's wish up to a limit", () => {
  const asks = (retryAfterMs?: number) => new ApiError(TARGET, 429, {}, retryAfterMs);
  const [least, most] = [() => 0, () => 1];
  assert.deepEqual([0, 1, 5, 6, 40].map((attempt) => retryDelayMs(new Error("x"), attempt, least)), [
    100,
    200,
    3_200,
    5_000,
    5_000,
  ]);
  assert.deepEqual([0, 1, 5, 6].map((attempt) => retryDelayMs(asks(), attempt, most)), [
    200,
    400,
    6_400,
    10_000,
  ]);
  for (const error of [asks(), new Error("x")]) {
    assert.equal(retryDelayMs(error, 0, () => -1), 0, "without a wish, nothing is added");
  }
  assert.equal(retryDelayMs(asks(7_000), 0, least), 7_000);
  assert.equal(retryDelayMs(asks(3_000), 6, least), 5_000);
  assert.equal(retryDelayMs(asks(90_000), 0, least), 60_000);
  assert.equal(retryDelayMs(asks(90_000), 0, least, 8_000), 8_000);
});

Deno.test("isForbidden(), isConflict() and isExpired() tell the answers on which callers act", () => {
  const error = (status: number, reason = "", message = "") =>
    new ApiError(TARGET, status, { reason, message });
  const verdicts = (thrown: unknown) => [isForbidden(thrown), isConflict(thrown), isExpired(thrown)];
  assert.deepEqual(verdicts(error(403)), [true, false, false]);
  assert.deepEqual(verdicts(error(403, "Forbidden", "quota exceeded")), [false, false, false]);
  assert.deepEqual(verdicts(error(409)), [false, true, false]);
  assert.deepEqual(verdicts(error(410)), [false, false, true]);
  assert.deepEqual(verdicts(error(500, "Expired")), [false, false, true]);
  assert.deepEqual(verdicts(error(401, "", 'User "x" cannot get')), [false, false, false]);
  assert.deepEqual(verdicts({ status: 409, reason: "Expired", isMissingPermission: true }), [
    false,
    false,
    false,
  ]);
});

Deno.test("KubeClient reads no answer that would take many times its bytes in memory, and ends it", async () => {
  const { response, cancelled } = endless(
    200,
    `{"items":[${"{},".repeat(200_000)}`,
    `${"[],".repeat(200_000)}`,
  );
  const { ask } = setUp(() => Promise.resolve(response));
  const { outcome, done } = ask();
  await done;
  assert.equal(
    String(outcome.error),
    "Error: Cannot read the API server's answer: it has more than 400000 values",
  );
  assert.equal(cancelled.length, 1);
});
