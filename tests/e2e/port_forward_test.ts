/**
 * The way from a laptop to the pods: a real kube-apiserver, and the kubelet's own streaming server behind it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { systemClock } from "../../lib/base/clock.ts";
import { FetchHttp } from "../../lib/kube/fetch_http.ts";
import { PORT_FORWARD_CONTRACT, PortForwardContract } from "../integration/contract/port_forward.ts";
import { recordingLog } from "../support/recording_log.ts";
import { testClient } from "../support/test_client.ts";
import type { Child } from "./child_process.ts";
import { assertServed } from "./program.ts";
import { echoRuntime, type PodRuntime } from "./pod_process.ts";
import { type Cluster, DOCUMENTED_RULES, PORT_FORWARD_RULE, programPath, scenario } from "./scenario.ts";
import { startStreaming } from "./streaming.ts";
import { until } from "./waiting.ts";

const MB = 1_000_000;

let streaming: Child | undefined;

/** The streaming server of this file; the Node is there as soon as there is a cluster. */
async function withStreaming(cluster: Cluster): Promise<Cluster> {
  streaming ??= await startStreaming(cluster.api);
  return cluster;
}

Deno.test.afterAll(async () => {
  await streaming?.kill();
});

/** The rights of a user on a laptop. */
async function asOnLaptop(cluster: Cluster): Promise<void> {
  await withStreaming(cluster);
  await cluster.setRules([...DOCUMENTED_RULES, PORT_FORWARD_RULE], { allowed: true });
}

/** Puts down the addresses of pods. */
function notingRuntime(addresses: string[]): PodRuntime {
  return (pod) => {
    addresses.push(pod.ip);
    return echoRuntime(pod);
  };
}

const addresses: string[] = [];

scenario(
  "a real kube-apiserver and the kubelet's streaming server keep the contract of port-forwarding",
  { runtime: notingRuntime(addresses), replicas: 1 },
  async (cluster) => {
    await withStreaming(cluster);
    await until("the pod to be ready", () => cluster.kubelet.history.some(({ what }) => what === "ready"));
    const { baseUrl, caPem, token } = cluster.api.access;
    const http = new FetchHttp({
      ca: caPem,
      caSource: "the test",
      proxy: undefined,
      serverName: undefined,
      insecure: false,
      repeatsHeaders: false,
    });
    const client = testClient(http, { clock: systemClock, log: recordingLog() }, {
      server: new URL(baseUrl),
      authenticate: () => Promise.resolve({ authorization: `Bearer ${token}` }),
    });
    try {
      for (const { title, run } of PORT_FORWARD_CONTRACT) {
        const target = { client, namespace: cluster.namespace, pod: "buildkitd-0", hostname: addresses[0]! };
        await using contract = new PortForwardContract(target);
        await run(contract).catch((cause) => {
          throw new Error(`The contract is broken: ${title}`, { cause });
        });
      }
    } finally {
      http.close();
    }
  },
);

scenario(
  "through a port-forward of the compiled program 200 MB of context and 200 MB of output arrive whole, and the pod goes",
  {},
  async (cluster) => {
    await asOnLaptop(cluster);
    const program = await cluster.startProgram({ "upstream": "port-forward", "idle-timeout": "1s" }, {
      launch: (args) => Promise.resolve([programPath("buildkitd-autoscaler"), ...args]),
    });
    await program.untilReady();
    const build = await cluster.build(program, { payloadBytes: 200 * MB });
    await build.finish();
    const sessions = await program.untilEnded(1);
    assertServed(sessions[0]);
    assert.ok(Number(sessions[0]!.upstreamBytes) > 200 * MB);
    assert.ok(Number(sessions[0]!.downstreamBytes) > 200 * MB);
    await cluster.timeline.settle([0, 1, 0]);
    await cluster.untilNoPods();
    assert.equal(await program.stop(), 0);
    assert.deepEqual(await cluster.plane.refusedTo(cluster.programUser), []);
  },
);

scenario("docker buildx builds through a port-forward", {}, async (cluster) => {
  await asOnLaptop(cluster);
  const program = await cluster.startProgram({ "upstream": "port-forward" });
  await program.untilReady();
  await (await cluster.build(program, { client: "docker-buildx", payloadBytes: 5 * MB })).finish();
  assert.equal(await program.stop(), 0);
});

for (const verb of ["get", "create"]) {
  scenario(
    `without the right to ${verb} pods/portforward the log names the rule, and the build goes on once it is there`,
    {},
    async (cluster) => {
      await asOnLaptop(cluster);
      const less = { ...PORT_FORWARD_RULE, verbs: PORT_FORWARD_RULE.verbs.filter((other) => other !== verb) };
      await cluster.setRules([...DOCUMENTED_RULES, less], { allowed: true });
      const program = await cluster.startProgram({ "upstream": "port-forward" });
      const build = await cluster.build(program);
      const { cause } = await program.waitForRecord(
        "the missing right",
        (record) => record.code === "pod_connection_failed",
      );
      assert.match(
        String(cause),
        verb === "get" ? /cannot get resource "pods\/portforward"/ : /pods "buildkitd-0" is forbidden: \)/,
      );
      assert.match(String(cause), /resources: \["pods\/portforward"\], verbs: \["get", "create"\]/);
      await cluster.setRules([...DOCUMENTED_RULES, PORT_FORWARD_RULE], { allowed: true });
      await build.finish();
      assert.equal(await program.stop(), 0);
    },
  );
}

scenario(
  "a killed API server ends the builds that go through it, and the next one is served when it is back",
  {},
  async (cluster) => {
    await asOnLaptop(cluster);
    const program = await cluster.startProgram({ "upstream": "port-forward" });
    await program.untilReady();
    const build = await (await cluster.build(program)).running();
    await cluster.plane.killApiServer();
    assert.notEqual((await build.result()).code, 0);
    // Its client may have connected again, and left, before the line of the broken session is written.
    await program.waitForRecord(
      "the broken session",
      ({ code, outcome }) => code === "session_ended" && outcome === "upstream_reset",
    );
    await cluster.plane.restartApiServer();
    await program.untilReady();
    await (await cluster.build(program)).finish();
    assert.equal(await program.stop(), 0);
  },
);
