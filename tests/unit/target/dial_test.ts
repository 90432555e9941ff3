/**
 * Tests of one try to connect to a pod: which address, in which order, how long, and what is said when it fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Address, Conn, Network } from "../../../lib/base/network.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import { dial, type DialSettings } from "../../../lib/target/dial.ts";
import { DialError } from "../../../lib/target/seats.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const settings: DialSettings = {
  upstream: "slices",
  targetPort: 1234,
  connectTimeoutMs: 5_000,
  headlessServiceName: "bk-pods",
  stsNamespace: "builds",
  clusterDomain: "cluster.local",
};
const backend: Backend = {
  ordinal: 0,
  pod: "bk-0",
  uid: "u",
  addresses: ["192.0.2.1", "2001:db8::1"],
  ready: true,
  terminating: false,
};

type Fate = "connects" | "hangs" | Error;

/** A network on which each address has its fate. */
function networkOf(fates: Readonly<Record<string, Fate>>) {
  const dialled: Address[] = [];
  const conns: Conn[] = [];
  const network: Network = {
    listen: () => assert.fail("nobody listens here"),
    connect(address, signal) {
      dialled.push(address);
      const fate = fates[address.hostname] ?? new Error("unexpected address");
      if (fate instanceof Error) return Promise.reject(fate);
      if (fate === "connects") {
        const [conn] = MemoryConn.pair();
        conns.push(conn);
        return Promise.resolve(conn);
      }
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    },
  };
  return { network, dialled, conns };
}

const never = new AbortController().signal;
const refused = new Deno.errors.ConnectionRefused("Connection refused (os error 111)");

Deno.test("dial() connects to the pod's address and target port", async () => {
  const clock = new VirtualClock();
  const { network, dialled, conns } = networkOf({ "192.0.2.1": "connects" });
  assert.equal(await dial(network, clock, backend, settings, never), conns[0]);
  assert.deepEqual(dialled, [{ hostname: "192.0.2.1", port: 1234 }]);
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("dial() tries the next address when one fails or does not answer in time", async () => {
  for (const fate of [refused, "hangs"] as const) {
    const clock = new VirtualClock();
    const { network, dialled, conns } = networkOf({ "192.0.2.1": fate, "2001:db8::1": "connects" });
    const dialling = dial(network, clock, backend, settings, never);
    await clock.advance(5_000);
    assert.equal(await dialling, conns[0]);
    assert.deepEqual(dialled.map(({ hostname }) => hostname), ["192.0.2.1", "2001:db8::1"]);
    assert.equal(clock.pending, 0, "no timer is left");
  }
});

Deno.test("dial() reports the result of every address", async () => {
  const clock = new VirtualClock();
  const { network } = networkOf({ "192.0.2.1": refused, "2001:db8::1": refused });
  await assert.rejects(dial(network, clock, backend, settings, never), (error) => {
    assert.ok(error instanceof DialError);
    assert.equal(
      error.message,
      'Cannot connect to ready pod "bk-0": 192.0.2.1:1234: Connection refused (os error 111); ' +
        "[2001:db8::1]:1234: Connection refused (os error 111)",
    );
    return true;
  });
});

Deno.test("dial() calls a failure local only when no address could even be tried", async () => {
  const local = ["EMFILE", "ENFILE", "EADDRNOTAVAIL"].map((code) => Object.assign(new Error("no"), { code }));
  const isLocal = async (v4: Fate, v6: Fate) => {
    const { network } = networkOf({ "192.0.2.1": v4, "2001:db8::1": v6 });
    const error = await dial(network, new VirtualClock(), backend, settings, never).catch((error) => error);
    assert.ok(error instanceof DialError);
    return error.isLocal;
  };
  for (const fault of local) {
    assert.equal(await isLocal(fault, fault), true);
    assert.equal(await isLocal(fault, refused), false);
    assert.equal(await isLocal(refused, fault), false);
  }
  const { network } = networkOf({});
  const nowhere = dial(network, new VirtualClock(), { ...backend, addresses: [] }, settings, never);
  await assert.rejects(nowhere, (error) => error instanceof DialError && !error.isLocal);
});

Deno.test("dial() says when the pod has no address", async () => {
  const { network } = networkOf({});
  const nowhere = { ...backend, addresses: [] };
  await assert.rejects(
    dial(network, new VirtualClock(), nowhere, settings, never),
    /^DialError: Cannot connect to ready pod "bk-0": it has no address$/,
  );
});

Deno.test("dial() gives the cure for a network without a way to the pod", async () => {
  const codes = ["EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL"];
  const failures: Fate[] = [...codes.map((code) => Object.assign(new Error("no way"), { code })), "hangs"];
  for (const fate of failures) {
    const clock = new VirtualClock();
    const { network } = networkOf({ "192.0.2.1": fate });
    const dialling = dial(network, clock, { ...backend, addresses: ["192.0.2.1"] }, settings, never);
    const rejected = assert.rejects(
      dialling,
      /use --upstream auto or port-forward, or give this machine a route/,
    );
    await clock.advance(5_000);
    await rejected;
  }
});

Deno.test("dial() takes the pod's name with --upstream dns, and gives the cure when it does not resolve", async () => {
  const name = "bk-0.bk-pods.builds.svc.cluster.local";
  const dns = { ...settings, upstream: "dns" } as const;
  const found = networkOf({ [name]: "connects" });
  await dial(found.network, new VirtualClock(), { ...backend, addresses: [] }, dns, never);
  assert.deepEqual(found.dialled, [{ hostname: name, port: 1234 }]);
  const lost = networkOf({
    [name]: new Error("failed to lookup address information: Name or service not known"),
  });
  await assert.rejects(
    dial(lost.network, new VirtualClock(), backend, dns, never),
    /check --headless-service-name and --cluster-domain, or use --upstream slices$/,
  );
});

Deno.test("dial() ends with the signal's own reason, and tries no further address", async () => {
  const clock = new VirtualClock();
  const { network, dialled } = networkOf({ "192.0.2.1": "hangs", "2001:db8::1": "connects" });
  const controller = new AbortController();
  const dialling = dial(network, clock, backend, settings, controller.signal);
  const reason = new Error("the time is up");
  controller.abort(reason);
  await assert.rejects(dialling, (error) => error === reason);
  assert.equal(dialled.length, 1);
  assert.equal(clock.pending, 0, "no timer is left");
});
