/**
 * Whether this proxy can write the count of a StatefulSet, decided in this one place. With `--observe` no part is made that
 * writes: what reads the count has a port without a write, and what would scale is a shadow. Contains no other logic.
 *
 * @module
 */
import type { BuilderPorts } from "../base/ports.ts";
import type { KubeClient } from "../kube/client.ts";
import { type ScaleApi, statefulSetScale, statefulSetScaleReader } from "../kube/scale.ts";
import type { ColdStart } from "../scaler/cold_start.ts";
import { CountOwners } from "../scaler/count_owners.ts";
import { CountReader } from "../scaler/count_reader.ts";
import type { ScaleTarget } from "../scaler/observer.ts";
import type { Peers } from "../scaler/peers.ts";
import type { Placement } from "../scaler/placement.ts";
import { PodStart } from "../scaler/pod_start.ts";
import { ReplicaCount } from "../scaler/replica_count.ts";
import { Scaler, type ScalerPolicy } from "../scaler/scaler.ts";
import type { Scaling } from "../scaler/scaling.ts";
import { Shadow } from "../scaler/shadow.ts";

/** What the count is read and written with. */
export interface CountPorts extends BuilderPorts {
  /** Talks to the API. */
  readonly client: KubeClient;
  /** Sessions and pods. */
  readonly placement: Placement;
  /** New with every process. */
  readonly identity: string;
}

/** The count: read, and written unless this proxy observes. */
export interface Counting {
  /** Reads it. */
  readonly count: CountReader;
  /** The same one, with what it writes with; undefined with `--observe`. */
  readonly writing?: { readonly count: ReplicaCount; readonly scale: ScaleApi };
}

/** Makes what reads the count, and unless `observe`, what writes it. */
export function makeCount(observe: boolean, { namespace, name }: ScaleTarget, ports: CountPorts): Counting {
  if (observe) {
    return {
      count: new CountReader({ ...ports, scale: statefulSetScaleReader(ports.client, namespace, name) }),
    };
  }
  const scale = statefulSetScale(ports.client, namespace, name);
  const count = new ReplicaCount({ ...ports, scale });
  return { count, writing: { count, scale } };
}

/** What decides about the count. */
export interface Deciding {
  /** Decides. */
  readonly scaler: Scaling;
  /** Keeps the list of the count's owners short; undefined with `--observe`. */
  readonly countOwners?: CountOwners;
  /** What would be done; only with `--observe`. */
  readonly shadow?: ShadowParts;
}

/** What observe mode has in place of a scaler. */
export type ShadowParts = Pick<Shadow, "replicas" | "unasked" | "start" | "subscribe">;

/** Makes what decides about the count. */
export function makeScaler(
  { writing }: Counting,
  at: ScaleTarget,
  ports: CountPorts & { readonly peers: Peers; readonly coldStart: ColdStart },
  policy: ScalerPolicy,
): Deciding {
  if (writing === undefined) {
    const shadow = new Shadow({ ...ports, name: at.name, start: new PodStart(at.namespace, ports) }, policy);
    return { scaler: shadow, shadow };
  }
  const scaler = new Scaler({ ...ports, access: ports.client.access, count: writing.count }, policy);
  return { scaler, countOwners: new CountOwners({ ...ports, scale: writing.scale, scaler }) };
}
