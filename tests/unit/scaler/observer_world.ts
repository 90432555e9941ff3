/**
 * An observer in front of an API server that says just what a test wants.
 *
 * @module
 */
import assert from "node:assert/strict";
import { builderMetrics } from "../../../lib/base/metrics.ts";
import type { Cluster } from "../../../lib/kube/cluster.ts";
import type { EndpointSlice, StatefulSet } from "../../../lib/kube/types.ts";
import { Observer, watchSlices } from "../../../lib/scaler/observer.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { Collection, scriptedHttp } from "../../support/scripted_api.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A version of the StatefulSet; what is left out is as in most of them. */
export interface Version {
  readonly version?: number;
  readonly replicas?: number | undefined;
  readonly uid?: string;
  readonly generation?: number;
  readonly observedGeneration?: number;
  readonly managers?: readonly string[];
  readonly serviceName?: string;
  readonly start?: number;
  /** The ports that each container declares. */
  readonly ports?: readonly (readonly number[] | undefined)[];
}

/** Makes the object of one. */
export function statefulSet(of: Version = {}): StatefulSet {
  const { version = 10, uid = "uid-1", generation = 1, serviceName = "b-headless" } = of;
  const replicas = "replicas" in of ? of.replicas : 1;
  return {
    metadata: {
      name: "b",
      uid,
      resourceVersion: String(version),
      generation,
      managedFields: (of.managers ?? []).map((manager) => ({
        manager,
        operation: "Apply",
        subresource: "scale",
        fieldsV1: { "f:spec": { "f:replicas": {} } },
      })),
    },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      ...(of.start === undefined ? {} : { ordinals: { start: of.start } }),
      serviceName,
      selector: {},
      template: of.ports === undefined ? {} : { spec: { containers: containersWith(of.ports) } },
    },
    status: { observedGeneration: of.observedGeneration ?? generation, replicas: 0 },
  };
}

function containersWith(ports: NonNullable<Version["ports"]>) {
  return ports.map((ports, i) => ({
    name: `c-${i}`,
    image: "",
    ...(ports === undefined ? {} : { ports: ports.map((containerPort) => ({ containerPort })) }),
  }));
}

/** An EndpointSlice with the pods of these ordinals, ready. */
export function slice(name: string, ...ordinals: number[]): EndpointSlice {
  return {
    metadata: { name },
    addressType: "IPv4",
    endpoints: ordinals.map((ordinal) => ({
      addresses: [`192.0.2.${ordinal}`],
      conditions: { serving: true },
      targetRef: { kind: "Pod", name: `b-${ordinal}`, uid: `pod-${ordinal}` },
    })),
  };
}

/** An observer that has not begun, and the API server that it will ask. */
export function setUp(cluster: Partial<Cluster> = {}) {
  const clock = new VirtualClock();
  const statefulsets = new Collection<StatefulSet>();
  const endpointslices = new Collection<EndpointSlice>();
  const log = recordingLog();
  const http = scriptedHttp({ statefulsets, endpointslices });
  const placement = new Placement(clock, ONE_POD, "pod");
  const owners: unknown[] = [];
  /** Counts that writes of this proxy are to set, and who is told that the resourceVersions have regressed. */
  const writing = new Set<number>();
  let onRegressed = () => {};
  const count = {
    isWriting: (replicas: number) => writing.has(replicas),
    onRegressed: (listener: () => void) => void (onRegressed = listener),
  };
  const client = testClient(http, { clock, log }, cluster);
  const metrics = countedMetrics(() => {});
  const ports = { client, clock, random: () => 0.5, log, metrics };
  const sliceWatch = watchSlices("n", ["b-headless"], ports);
  const observer = new Observer({ namespace: "n", name: "b", service: "b-headless", port: 8372 }, {
    ...ports,
    metrics: builderMetrics(metrics, "b"),
    slices: sliceWatch,
    placement,
    count,
    countOwners: {
      see: (version, fields) => owners.push([version, fields?.map(({ manager }) => manager)]),
    },
  });
  const controller = new AbortController();
  let running = Promise.resolve();
  const start = async () => {
    const { signal } = controller;
    running = Promise.allSettled([observer.run(signal), sliceWatch.run(signal)]).then(() => {});
    await clock.advance(0);
  };
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  /** Sends a change of the StatefulSet to all who watch. */
  const change = async (of: Version) => {
    statefulsets.send("MODIFIED", statefulSet(of));
    await clock.advance(0);
  };
  const slices = async (type: "ADDED" | "MODIFIED" | "DELETED", object: EndpointSlice) => {
    endpointslices.send(type, object);
    await clock.advance(0);
  };
  const pods = () => placement.pods.all.map(({ pod }) => pod);
  /** The resourceVersions have regressed: everything is listed anew. */
  const regress = async () => {
    onRegressed();
    await clock.advance(0);
  };
  return {
    clock,
    log,
    metrics,
    observer,
    placement,
    writing,
    regress,
    owners,
    statefulsets,
    endpointslices,
    start,
    stop,
    change,
    slices,
    pods,
  };
}
