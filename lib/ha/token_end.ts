/**
 * A draining proxy and the end of its token. The kubelet does not renew the token of a pod that terminates
 * (https://github.com/kubernetes/kubernetes/issues/116481), so a proxy that drains for long loses its access to the API
 * and cannot renew its record any more. This file says how long a record has to be good then, and how long a token has to
 * live so that this does not happen.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Cluster } from "../kube/cluster.ts";
import type { TokenTimes } from "../kube/token_claims.ts";

/** How long the drain of a proxy is taken to last that has no limit, in ms. */
export const UNLIMITED_DRAIN_MS = 24 * 3_600_000;

/** The kubelet renews a token when this part of its lifetime is left, or when it is {@link LONGEST_AGE_MS} old. */
const LEFT_PART = 1 / 5;

/** Source: `maxTTL` in pkg/kubelet/token/token_manager.go of Kubernetes. */
const LONGEST_AGE_MS = 24 * 3_600_000;

/** What holds at the moment in which a draining proxy writes its record. */
export interface DrainingWrite {
  /** `--record-expiry`, in ms. */
  readonly expiryMs: number;
  /** How long the drain may still take, in ms; Infinity without limit. */
  readonly drainLeftMs: number;
  /** How long the token is still valid, in ms. */
  readonly tokenLeftMs: number;
}

/**
 * How long a draining proxy's record is good for, in ms: as long as any other, unless the token ends before that. Each
 * write may then be the last one, so the record outlives the drain.
 */
export function goodForMs({ expiryMs, drainLeftMs, tokenLeftMs }: DrainingWrite): number {
  if (tokenLeftMs > expiryMs) return expiryMs;
  const drainMs = drainLeftMs === Infinity ? UNLIMITED_DRAIN_MS : Math.max(0, drainLeftMs);
  return drainMs + expiryMs;
}

/** What a {@link RecordLifetime} is made of. */
export interface RecordLifetimePorts extends Pick<BasePorts, "clock" | "log"> {
  /** Knows the token. */
  readonly cluster: Pick<Cluster, "tokenTimes">;
}

/** How long one proxy's records are good for. */
export class RecordLifetime {
  readonly #expiryMs: number;
  readonly #ports: RecordLifetimePorts;
  /** When the drain is over at the latest, monotonic ms; undefined while the proxy does not drain. */
  #drainedMs: number | undefined;
  #isLonger = false;

  /** `expiryMs` is `--record-expiry`. */
  constructor(expiryMs: number, ports: RecordLifetimePorts) {
    this.#expiryMs = expiryMs;
    this.#ports = ports;
  }

  /** The proxy drains from now on, for that long at most (Infinity without limit). */
  drain(longestMs: number): void {
    this.#drainedMs = this.#ports.clock.nowMs() + longestMs;
  }

  /** How long the record is good for that is written next, in ms. Reads the token's file again. */
  async goodForMs(): Promise<number> {
    if (this.#drainedMs === undefined) return this.#expiryMs;
    const { clock, log, cluster } = this.#ports;
    const times = await cluster.tokenTimes?.();
    if (times === undefined) return this.#expiryMs;
    const longMs = goodForMs({
      expiryMs: this.#expiryMs,
      drainLeftMs: this.#drainedMs - clock.nowMs(),
      tokenLeftMs: times.expiresMs - clock.wallMs(),
    });
    const isLonger = longMs > this.#expiryMs;
    if (isLonger && !this.#isLonger) {
      log.warn("token_expires_in_drain", {
        expires: new Date(times.expiresMs).toISOString(),
        then: `other proxies keep this proxy's builds for ${
          formatDurationMs(Math.ceil(longMs / 1000) * 1000)
        } from its last write on`,
      });
    }
    this.#isLonger = isLonger;
    return longMs;
  }
}

/** The settings that matter. */
export interface DrainSettings {
  /** See `--shutdown-delay`. */
  readonly shutdownDelayMs: number;
  /** See `--drain-timeout`; 0 is without limit. */
  readonly drainTimeoutMs: number;
  /** See `--record-expiry`. */
  readonly recordExpiryMs: number;
}

/** How long a drain may take, in ms; Infinity without limit. */
export function longestDrainMs({ shutdownDelayMs, drainTimeoutMs }: DrainSettings): number {
  return drainTimeoutMs === 0 ? Infinity : shutdownDelayMs + drainTimeoutMs;
}

/** Warns of a token that a proxy may lose while it drains, since too little of it is left when a pod is told to stop. */
export function warnOfShortToken(times: TokenTimes | undefined, settings: DrainSettings, log: Log): void {
  if (times === undefined) return;
  const lifetimeMs = times.expiresMs - times.issuedMs;
  const leftMs = Math.max(lifetimeMs * LEFT_PART, lifetimeMs - LONGEST_AGE_MS);
  const drainMs = longestDrainMs(settings);
  const neededMs = settings.recordExpiryMs + (drainMs === Infinity ? UNLIMITED_DRAIN_MS : drainMs);
  if (leftMs >= neededMs) return;
  const wantedS = Math.ceil(neededMs / LEFT_PART / 1000);
  log.warn("token_lifetime_short", {
    lifetime: formatDurationMs(lifetimeMs),
    cause:
      `the kubelet renews the token when a fifth of its lifetime is left, but not while the pod terminates; a drain ` +
      `of this proxy may need it for ${formatDurationMs(neededMs)}`,
    then: `mount a projected token with "expirationSeconds: ${wantedS}" or more (chart: ` +
      `autoscaler.serviceAccount.tokenExpirationSeconds), or lower --drain-timeout`,
  });
}
