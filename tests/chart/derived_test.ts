/**
 * What the chart works out from other values: grace periods, probes and alerts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parseDurationMs } from "../../lib/config/duration.ts";
import { Helm, type KubeObject } from "./helm.ts";

const helm = await Helm.of("helm");

// deno-lint-ignore no-explicit-any -- parts of objects
type Tree = any;

function only(objects: ReadonlyMap<string, KubeObject>, kind: string): KubeObject {
  const found = [...objects.values()].filter((each) => each.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0]!;
}

Deno.test("chart: grace periods follow from durations as Go reads them, rounded up", async () => {
  const cases = [["1h0m0s", "5s"], ["90m", "20.5s"], ["1h30m", "0s"], ["1.5h", "999ms"], ["1us", "1m1s"], [
    "36h",
    "1ns",
  ]];
  for (const [drain, delay] of cases as [string, string][]) {
    const objects = await helm.objects({
      autoscaler: { autoscalerConfig: { drainTimeout: drain, shutdownDelay: delay } },
      buildkitd: { drain: { timeout: drain } },
    });
    const seconds = (text: string) => Math.ceil(parseDurationMs(text)! / 1000);
    const grace = (kind: string) => only(objects, kind).spec.template.spec.terminationGracePeriodSeconds;
    assert.equal(grace("Deployment"), seconds(drain) + seconds(delay) + 30, `${drain} ${delay}`);
    assert.equal(grace("StatefulSet"), seconds(drain) + 30, drain);
  }
  const unlimited = await helm.objects({ autoscaler: { autoscalerConfig: { drainTimeout: "0s" } } });
  assert.ok(only(unlimited, "Deployment").spec.template.spec.terminationGracePeriodSeconds > 7 * 86_400);
});

Deno.test("chart: the token lives for five times the grace period and the record's expiry, unless it is told how long", async () => {
  const seconds = async (autoscaler: Tree) => {
    const { volumes, containers: [container] } =
      only(await helm.objects({ autoscaler }), "Deployment").spec.template.spec;
    const volume = volumes.find(({ name }: Tree) => name === container.volumeMounts[0].name);
    return volume.projected.sources[0].serviceAccountToken.expirationSeconds;
  };
  assert.equal(await seconds({}), 5 * (3605 + 30 + 300));
  const autoscalerConfig = { drainTimeout: "10m", shutdownDelay: "0s", recordExpiry: "90.5s" };
  assert.equal(await seconds({ autoscalerConfig }), 5 * (600 + 30 + 91));
  assert.equal(await seconds({ autoscalerConfig, terminationGracePeriodSeconds: 100 }), 5 * (100 + 91));
  assert.equal(await seconds({ autoscalerConfig, terminationGracePeriodSeconds: 0 }), 600);
  assert.equal(await seconds({ autoscalerConfig: { recordExpiry: null } }), 5 * (3635 + 300));
  assert.equal(
    await seconds({ autoscalerConfig: { drainTimeout: "0s" } }),
    5 * (7 * 86_400 + 35 + 300),
  );
  assert.equal(await seconds({ serviceAccount: { tokenExpirationSeconds: 86_400 } }), 86_400);
});

Deno.test("chart: a buildkitd that speaks TLS is probed by a TCP connect, unless a handler is given", async () => {
  const probes = async (buildkitd: Tree) => {
    const { readinessProbe, startupProbe } = only(
      await helm.objects({ buildkitd: { startupProbe: { enabled: true }, ...buildkitd } }),
      "StatefulSet",
    ).spec.template.spec.containers[0];
    return [readinessProbe, startupProbe].map(({ grpc, tcpSocket, exec }: Tree) => ({
      grpc,
      tcpSocket,
      exec,
    }));
  };
  const none = { grpc: undefined, tcpSocket: undefined, exec: undefined };
  const [grpc, tcp] = [{ ...none, grpc: { port: 8372 } }, { ...none, tcpSocket: { port: "tcp-buildkit" } }];
  assert.deepEqual(await probes({ extraArgs: ["--debug"] }), [grpc, grpc]);
  assert.deepEqual(await probes({ extraArgs: ["--debug", "--tlscert", "/tls/tls.crt"] }), [tcp, tcp]);
  assert.deepEqual(await probes({ extraArgs: ["--tlscert=/tls/tls.crt"] }), [tcp, tcp]);
  assert.deepEqual(await probes({ config: '[grpc]\n  [grpc.tls]\n    cert = "/tls/tls.crt"\n' }), [tcp, tcp]);
  const variable = [{ name: "BUILDKIT_TLS_ENABLED", value: "true" }];
  assert.deepEqual(await probes({ extraEnvVars: variable }), [tcp, tcp]);
  assert.deepEqual(await probes({ preset: "moby", extraEnvVars: variable }), [grpc, grpc]);
  const exec = { command: ["true"] };
  const own = await probes({
    extraArgs: ["--tlscert=/tls/tls.crt"],
    readinessProbe: { enabled: true, exec },
  });
  assert.deepEqual(own, [{ ...none, exec }, tcp]);
});

Deno.test("chart: alerts follow from how long idle builders stay and clients wait", async () => {
  const metrics = { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } };
  const alerts = async (autoscalerConfig: Tree) => {
    const rule = only(await helm.objects({ autoscaler: { metrics, autoscalerConfig } }), "PrometheusRule");
    const alert = (name: string) => rule.spec.groups[0].rules.find((each: Tree) => each.alert === name);
    return [alert("BuildkitdIdle").for, alert("BuildkitdColdStartSlow").expr.split(" > ")[1]];
  };
  assert.deepEqual(await alerts({}), ["30m", "120"]);
  assert.deepEqual(await alerts({ scaleDownIdleTimeout: null, readyWaitTimeout: null }), ["30m", "120"]);
  assert.deepEqual(await alerts({ scaleDownIdleTimeout: "15m1s", readyWaitTimeout: "10m" }), ["31m", "300"]);
  assert.deepEqual(await alerts({ scaleDownIdleTimeout: "2h", readyWaitTimeout: "1h" }), ["135m", "300"]);
  assert.deepEqual(await alerts({ scaleDownIdleTimeout: "0s", readyWaitTimeout: "1ms" }), ["30m", "1"]);
});

Deno.test("chart: the right to Events is granted unless the program is told to write none", async () => {
  for (
    const [events, isGranted] of [[undefined, true], [true, true], [null, true], [false, false]] as const
  ) {
    const autoscalerConfig = events === undefined ? {} : { events };
    const { rules } = only(await helm.objects({ autoscaler: { autoscalerConfig } }), "Role") as Tree;
    const found = rules.filter(({ resources }: Tree) => resources.includes("events"));
    const rule = { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] };
    assert.deepEqual(found, isGranted ? [rule] : [], `${events}`);
  }
});

Deno.test("chart: a proxy that only observes has no right to write the count, and a new builder runs", async () => {
  for (
    const [observe, verbs, replicas] of [
      [false, ["get", "update", "patch"], 0],
      [null, ["get", "update", "patch"], 0],
      [true, ["get"], 1],
    ] as const
  ) {
    const objects = await helm.objects({ autoscaler: { autoscalerConfig: { observe } } });
    const { rules } = only(objects, "Role") as Tree;
    const found = rules.find(({ resources }: Tree) => resources.includes("statefulsets/scale"));
    assert.deepEqual(found.verbs, verbs, `${observe}`);
    assert.equal(only(objects, "StatefulSet").spec.replicas, replicas, `${observe}`);
  }
  const more = { buildkitd: { replicaCount: 2 }, autoscaler: { autoscalerConfig: { observe: true } } };
  assert.equal(only(await helm.objects(more), "StatefulSet").spec.replicas, 2);
});
