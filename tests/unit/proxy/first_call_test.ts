/** Tests of what is read out of a call's headers. @module */
import assert from "node:assert/strict";
import {
  type FirstCall,
  firstCallOf,
  isLookUp,
  isTraceExport,
  isWatcher,
} from "../../../lib/proxy/first_call.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

function call(...fields: (readonly [name: string, value: string])[]) {
  return firstCallOf(fields.map(([name, value]) => ({ name, value })));
}

const PATH = [":path", "/a/B"] as const;

Deno.test("firstCallOf() finds path, authority and trace id, in any order", () => {
  const fields = [PATH, [":authority", "team-a:8372"], [
    "traceparent",
    `00-${TRACE_ID}-${PARENT}-01`,
  ]] as const;
  const wanted = { path: "/a/B", authority: "team-a:8372", traceId: TRACE_ID };
  assert.deepEqual(call(...fields), wanted);
  assert.deepEqual(call(...fields.toReversed(), ["te", "trailers"]), wanted);
});

Deno.test("firstCallOf() does without authority and trace id, but not without a path", () => {
  assert.deepEqual(call(PATH), { path: "/a/B", authority: undefined, traceId: undefined });
  assert.equal(call([":authority", "a"]), undefined);
  assert.equal(call(), undefined);
});

Deno.test("firstCallOf() takes headers with two paths or two authorities for no call", () => {
  assert.equal(call(PATH, PATH), undefined);
  assert.equal(call(PATH, [":authority", "a"], [":authority", "a"]), undefined);
});

const TRACE_PARENTS: readonly (readonly [value: string, traceId: string | undefined])[] = [
  [`00-${TRACE_ID}-${PARENT}-00`, TRACE_ID],
  [`cc-${TRACE_ID}-${PARENT}-01`, TRACE_ID],
  [`cc-${TRACE_ID}-${PARENT}-01-what-comes-later`, TRACE_ID],
  [`cc-${TRACE_ID}-${PARENT}-01.what`, undefined],
  [`00-${TRACE_ID}-${PARENT}-01-more`, undefined],
  [`00-${TRACE_ID}-${PARENT}-01-`, undefined],
  [`ff-${TRACE_ID}-${PARENT}-01`, undefined],
  [`00-${"0".repeat(32)}-${PARENT}-01`, undefined],
  [`00-${TRACE_ID}-${"0".repeat(16)}-01`, undefined],
  [`00-${TRACE_ID.toUpperCase()}-${PARENT}-01`, undefined],
  [`00-${TRACE_ID.slice(1)}-${PARENT}-01`, undefined],
  [`00-${TRACE_ID}0-${PARENT}-01`, undefined],
  [`00-${TRACE_ID}-${PARENT}-1`, undefined],
  [` 00-${TRACE_ID}-${PARENT}-01`, undefined],
  [TRACE_ID, undefined],
  ["", undefined],
];

for (const [value, traceId] of TRACE_PARENTS) {
  Deno.test(`firstCallOf() finds ${traceId === undefined ? "no" : "the"} trace id in "${value}"`, () => {
    assert.equal(call(PATH, ["traceparent", value])?.traceId, traceId);
  });
}

Deno.test("firstCallOf() finds no trace id when there are two", () => {
  const parent = ["traceparent", `00-${TRACE_ID}-${PARENT}-01`] as const;
  assert.equal(call(PATH, parent, parent)?.traceId, undefined);
});

Deno.test("isWatcher(), isLookUp() and isTraceExport() go by the whole path", () => {
  const paths = [
    "/moby.buildkit.v1.Control/ListenBuildHistory",
    "/moby.buildkit.v1.Control/ListenBuildHistoryX",
    "/moby.buildkit.v1.Control/ListWorkers",
    "/moby.buildkit.v1.Control/Info",
    "/moby.buildkit.v1.Control/Solve",
    "/moby.buildkit.v1.frontend.LLBBridge/Info",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/",
  ];
  const thatAre = (is: (call: FirstCall) => boolean) =>
    paths.filter((path) => is({ path, authority: undefined, traceId: undefined }));
  assert.deepEqual(thatAre(isWatcher), [paths[0]]);
  assert.deepEqual(thatAre(isLookUp), [paths[2], paths[3]]);
  assert.deepEqual(thatAre(isTraceExport), [paths[6]]);
});
