/**
 * The HorizontalPodAutoscaler of the miniature cluster, for one StatefulSet, with `scaleDown.selectPolicy: Disabled`: it
 * raises a count between 1 and its maximum, lowers one only when it is above the maximum, and leaves 0 alone. It writes
 * the version that it has read, so that a write which comes too late is a conflict. Times in ms by the clock port.
 * Source: k8s.io/kubernetes/pkg/controller/podautoscaler/horizontal.go.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { STATEFULSETS } from "./objects.ts";
import type { Registry } from "./registry.ts";
import { replaceScale, scaleOf } from "./scale.ts";
import { ApiError } from "./status.ts";

/** How a {@link HorizontalAutoscaler} is set up. */
export interface HorizontalAutoscalerOptions {
  /** The StatefulSet's namespace. */
  readonly namespace: string;
  /** The StatefulSet's name. */
  readonly name: string;
  /** The highest count. */
  readonly maxReplicas: number;
  /** The count that its metrics call for, asked at each look. */
  readonly wanted: () => number;
  /** The time between two looks; drawn for each. */
  readonly periodMs: () => number;
  /** The time from a look to its write; drawn for each. */
  readonly latencyMs: () => number;
  /** Makes the write. By default it is just made. */
  readonly write?: (what: () => void) => void;
}

/** One autoscaler. Dispose of it, or it goes on for ever. */
export class HorizontalAutoscaler implements Disposable {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #options: HorizontalAutoscalerOptions;
  #cancel: () => void = () => {};

  /** Starts at once: its first look is a period away. */
  constructor(registry: Registry, clock: Clock, options: HorizontalAutoscalerOptions) {
    this.#registry = registry;
    this.#clock = clock;
    this.#options = options;
    this.#rest();
  }

  /** Ends it. A write that is under way is lost. */
  [Symbol.dispose](): void {
    this.#cancel();
  }

  #rest(): void {
    this.#cancel = this.#clock.setTimer(this.#options.periodMs(), () => this.#look());
  }

  #look(): void {
    const { namespace, name, latencyMs } = this.#options;
    const seen = this.#registry.store.get(STATEFULSETS, namespace, name);
    const count = seen?.spec.replicas ?? 0;
    const wanted = this.#wanted(count);
    if (seen === undefined || wanted === count) return this.#rest();
    const body = { ...scaleOf(seen), spec: { replicas: wanted } };
    this.#cancel = this.#clock.setTimer(latencyMs(), () => {
      this.#write(() =>
        replaceScale(this.#registry, namespace, name, body, {
          manager: "kube-controller-manager",
          subresource: "scale",
        })
      );
      this.#rest();
    });
  }

  #wanted(count: number): number {
    const { maxReplicas, wanted } = this.#options;
    if (count === 0) return 0;
    return Math.min(maxReplicas, Math.max(count, wanted()));
  }

  /** A write that is refused is forgotten: the next look brings another. */
  #write(write: () => void): void {
    const { write: make = (what: () => void) => what() } = this.#options;
    try {
      make(write);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
