/** Tests of the backends that EndpointSlices show: which pods count, with which addresses, ready or not. @module */
import assert from "node:assert/strict";
import type { EndpointSlice } from "../../../lib/kube/types.ts";
import { backendsOf } from "../../../lib/scaler/backends.ts";

type Endpoint = NonNullable<EndpointSlice["endpoints"]>[number];

const V4 = "192.0.2.1";
const V6 = "2001:db8::1";

/** An endpoint of the first pod that serves, but for `change`. */
function endpoint(addresses: string[], change: Partial<Endpoint> = {}): Endpoint {
  return {
    addresses,
    conditions: { ready: true, serving: true, terminating: false },
    targetRef: { kind: "Pod", name: "bk-0", uid: "u-0" },
    ...change,
  };
}

function slice(addressType: string, ...endpoints: Endpoint[]): EndpointSlice {
  return { addressType, endpoints };
}

const refTo = (name: string, uid = name) => ({ targetRef: { kind: "Pod", name, uid } });

Deno.test("backendsOf() joins the addresses of both families of a pod, IPv4 first, whatever the order of the slices", () => {
  const slices = [slice("IPv6", endpoint([V6])), slice("IPv4", endpoint([V4]))];
  for (const order of [slices, slices.toReversed()]) {
    const [backend, ...others] = backendsOf(order, "bk", 0);
    assert.deepEqual(backend, {
      ordinal: 0,
      pod: "bk-0",
      uid: "u-0",
      addresses: [V4, V6],
      ready: true,
      terminating: false,
    });
    assert.deepEqual(others, []);
  }
});

Deno.test("backendsOf() lists an address once that two slices have while an endpoint moves between them", () => {
  const [backend] = backendsOf([slice("IPv4", endpoint([V4])), slice("IPv4", endpoint([V4]))], "bk", 0);
  assert.deepEqual(backend?.addresses, [V4]);
});

Deno.test("backendsOf() uses the worse of two slices' conditions of a pod", () => {
  for (const conditions of [{ serving: false }, { serving: true, terminating: true }]) {
    const slices = [slice("IPv4", endpoint([V4])), slice("IPv6", endpoint([V6], { conditions }))];
    for (const order of [slices, slices.toReversed()]) {
      const [backend] = backendsOf(order, "bk", 0);
      assert.deepEqual([backend?.ready, backend?.terminating], [false, conditions.terminating ?? false]);
    }
  }
});

Deno.test("backendsOf() takes serving for ready, and the condition ready only where there is no other", () => {
  const readyOf = (conditions?: Endpoint["conditions"]) => {
    const { conditions: _, ...without } = endpoint([V4]);
    const shown = conditions === undefined ? without : { ...without, conditions };
    return backendsOf([slice("IPv4", shown)], "bk", 0)[0]?.ready;
  };
  assert.equal(readyOf({ ready: true, serving: false }), false, "publishNotReadyAddresses");
  assert.equal(readyOf({ ready: false, serving: true }), true);
  assert.equal(readyOf({ ready: false }), false);
  assert.equal(readyOf({}), true);
  assert.equal(readyOf(undefined), true);
});

Deno.test("backendsOf() counts ordinals from the start, lowest first, and tells pods of one name apart", () => {
  const endpoints = ["bk-12", "bk-7", "bk-5"].map((name) => endpoint([V4], refTo(name)));
  const again = endpoint([V4], refTo("bk-5", "another"));
  assert.deepEqual(
    backendsOf([slice("IPv4", ...endpoints, again)], "bk", 5).map(({ pod, ordinal }) => [pod, ordinal]),
    [["bk-5", 0], ["bk-5", 0], ["bk-7", 2], ["bk-12", 7]],
  );
});

Deno.test("backendsOf() leaves out what is no pod of the StatefulSet", () => {
  const others = [
    ...["bk", "bk-", "bk-x", "bk-01", "bk--1", "bk-0-1", "other-0", "bk-4"].map((name) =>
      endpoint([V4], refTo(name))
    ),
    endpoint([V4], { targetRef: { kind: "Node", name: "bk-5", uid: "n" } }),
    endpoint([V4], { targetRef: { kind: "Pod", name: "bk-5" } }),
  ];
  const { targetRef: _, ...unnamed } = endpoint([V4]);
  assert.deepEqual(
    backendsOf([slice("IPv4", ...others, unnamed), { addressType: "IPv4" } as EndpointSlice], "bk", 5),
    [],
  );
});

Deno.test("backendsOf() tolerates an endpoint without addresses", () => {
  const { addresses: _, ...without } = endpoint([]);
  const [backend] = backendsOf([slice("IPv4", without as Endpoint)], "bk", 0);
  assert.deepEqual(backend?.addresses, []);
});

Deno.test("backendsOf() takes for ordinals only numbers as Kubernetes writes them", () => {
  for (const digits of ["", "01", "+1", "1e1", "0x1", "1.5", " 1", "-1", "one"]) {
    assert.deepEqual(backendsOf([slice("IPv4", endpoint([V4], refTo(`bk-${digits}`)))], "bk", 0), [], digits);
  }
});
