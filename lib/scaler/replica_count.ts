/**
 * The replica count at the API server: read as in `count_reader.ts`, written on condition of its version, and each write
 * that succeeds is logged, counted, and seen by the placement. When to write, and what, is decided by `scaler.ts`. With
 * `--observe` there is none of these.
 *
 * @module
 */
import type { ScaleReason } from "../base/metrics.ts";
import type { BuilderPorts } from "../base/ports.ts";
import { isConflict } from "../kube/api_error.ts";
import { type Count, MANAGER, type ScaleApi } from "../kube/scale.ts";
import { claimOf } from "./agreement.ts";
import { CountReader, type CountReaderPorts } from "./count_reader.ts";

/** What it reads and writes with. */
export interface ReplicaCountPorts extends CountReaderPorts, Pick<BuilderPorts, "metrics"> {
  /** The API. */
  readonly scale: ScaleApi;
  /** New with every process: makes the field managers of its claims. */
  readonly identity: string;
}

/** What a write is for. */
export interface Purpose {
  /** In the metrics. */
  readonly reason: ScaleReason;
  /** For people. */
  readonly because: string;
}

/** Reads and writes the count. */
export class ReplicaCount extends CountReader {
  readonly #ports: ReplicaCountPorts;
  readonly #writing = new Set<number>();
  #claims = 0;

  /** Asks nothing yet. */
  constructor(ports: ReplicaCountPorts) {
    super(ports);
    this.#ports = ports;
  }

  /** See {@link CountReader.isWriting}. */
  override isWriting(replicas: number): boolean {
    return this.#writing.has(replicas);
  }

  /**
   * Reads the count, and has the API server check that the writes would be allowed, without changing anything: missing
   * rights must show when the proxy starts, not when the first client waits.
   *
   * @throws what the API says
   */
  override async checkRights(signal: AbortSignal): Promise<void> {
    const { scale } = this.#ports;
    const count = await this.read(signal);
    for (
      const write of [
        () => scale.apply(count, this.#newManager(), signal, { dryRun: true }),
        () => scale.update(count, signal, { dryRun: true }),
      ]
    ) {
      await write().catch((error) => {
        if (!isConflict(error)) throw error;
      });
    }
  }

  /**
   * Raises the count that was `seen` to `needed`, or writes the same count once more: the version moves on, and no promise
   * of an earlier one binds. An unknown outcome counts as failed.
   *
   * @returns what was written: less, where a mutating webhook limits the count
   * @throws what the API says; a conflict means that the version has moved on by itself
   */
  async claim(
    seen: Count,
    needed: number,
    { reason, because }: Purpose,
    signal: AbortSignal,
  ): Promise<Count> {
    const { scale } = this.#ports;
    const claim = claimOf(seen, needed);
    const after = await this.#write(claim, () => scale.apply(claim, this.#newManager(), signal));
    this.#wrote(seen, after, {
      reason: claim.replicas > seen.replicas ? reason : "closed_by_scale_down",
      because,
    });
    return after;
  }

  /**
   * Writes the present count once more, after this proxy has joined: the version moves on, the count stays.
   *
   * @throws as {@link claim}
   */
  async claimPresent(signal: AbortSignal): Promise<void> {
    const { scale, placement: { agreement: { seen } } } = this.#ports;
    if (seen === undefined) return;
    const after = await this.#write(seen, () => scale.apply(seen, this.#newManager(), signal));
    this.#wrote(seen, after, { reason: "join", because: "the proxy has joined" });
  }

  /**
   * Lowers the count that was `read`, on condition that nothing has changed since. All proxies have promised before.
   *
   * @throws what the API says
   */
  async lower(read: Count, replicas: number, purpose: Purpose, signal: AbortSignal): Promise<void> {
    const lower = { ...read, replicas };
    try {
      this.#wrote(read, await this.#write(lower, () => this.#ports.scale.update(lower, signal)), purpose);
    } catch (error) {
      // The version has moved on, by whose write is not known. Seeing the newer version ends the promise.
      if (isConflict(error)) await this.read(signal);
      throw error;
    }
  }

  async #write({ replicas }: Count, write: () => Promise<Count>): Promise<Count> {
    this.#writing.add(replicas);
    try {
      return await write();
    } finally {
      this.#writing.delete(replicas);
    }
  }

  #wrote(before: Count, after: Count, { reason, because }: Purpose): void {
    const { log, metrics, placement } = this.#ports;
    const direction = after.replicas > before.replicas
      ? "up"
      : after.replicas < before.replicas
      ? "down"
      : "same";
    metrics.record("scale_writes_total", 1, { direction, reason });
    // A proxy that joins changes nothing that an operator would see.
    if (reason === "join") log.debug("replicas_claimed", { replicas: after.replicas, because });
    else log.info("scaled", { from: before.replicas, to: after.replicas, reason, because });
    placement.see(after, before.version);
  }

  /** A server-side apply of an unchanged count makes a new version only under a name that was never used. */
  #newManager(): string {
    return `${MANAGER}-${this.#ports.identity}-${++this.#claims}`;
  }
}
