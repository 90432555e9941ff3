/**
 * What runs "in" a pod of the miniature cluster: the port between its kubelet and a process. `stub_pods.ts` runs a
 * small server inside this program, `buildkitd_pods.ts` runs a real daemon.
 *
 * @module
 */
import type { Address } from "../base/network.ts";

/** What a process is told of its pod. */
export interface PodContext {
  /** The pod's name. */
  readonly name: string;
  /** The pod's ordinal. */
  readonly ordinal: number;
  /** The pod's uid. */
  readonly uid: string;
  /** Where to listen. */
  readonly address: Address;
}

/** A process that was started. */
export interface PodProcess {
  /** Resolves once it serves. Never settles if it does not get there. */
  readonly serving: Promise<void>;
  /** Resolves once it is gone, whatever the reason. */
  readonly exited: Promise<void>;
  /** SIGTERM: it refuses new connections, may finish its sessions within `graceMs`, and is gone after that. */
  stop(graceMs: number): void;
  /** SIGKILL: gone at once, its connections reset or closed. */
  kill(): void;
}

/** Starts processes. */
export interface PodRuntime {
  /** What the reader of a timeline is told that it is. */
  readonly description: string;
  /** Starts one process for one pod. Does not throw: a process that cannot start exits at once. */
  start(pod: PodContext): PodProcess;
}
