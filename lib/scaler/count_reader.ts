/**
 * The replica count at the API server, read consistently and seen by the placement. It has no means to write the count:
 * `replica_count.ts` has.
 *
 * A consistent read is never older than what was seen before it was sent, unless the API server's data was restored from
 * a backup: the resourceVersions have regressed. Then nothing that was seen or promised before means anything, and this
 * proxy has to join the others anew.
 *
 * @module
 */
import { Listeners } from "../base/listeners.ts";
import type { BuilderPorts } from "../base/ports.ts";
import type { Count, ScaleReader } from "../kube/scale.ts";
import { isNewer } from "./agreement.ts";
import type { Placement } from "./placement.ts";

/** What it reads with. */
export interface CountReaderPorts extends Pick<BuilderPorts, "log"> {
  /** The API. */
  readonly scale: ScaleReader;
  /** Told what was read. */
  readonly placement: Placement;
}

/** Reads the count. */
export class CountReader {
  readonly #ports: CountReaderPorts;
  readonly #onRegressed = new Listeners();

  /** Asks nothing yet. */
  constructor(ports: CountReaderPorts) {
    this.#ports = ports;
  }

  /** Calls `listener` when the resourceVersions have regressed, after the placement has forgotten what it saw. */
  onRegressed(listener: () => void): void {
    this.#onRegressed.add(listener);
  }

  /** Whether a write of this proxy may set this count at any moment: it is under way. */
  isWriting(_replicas: number): boolean {
    return false;
  }

  /**
   * Reads the count and takes note of it. Versions before what was read may have been skipped.
   *
   * @throws what the API says
   */
  async read(signal: AbortSignal): Promise<Count> {
    const { scale, placement } = this.#ports;
    const before = placement.agreement.seen?.version ?? "";
    const isOlder = ({ version }: Count) => isNewer(before, version);
    let count = await scale.read(signal);
    // One old answer is not enough proof to forget everything.
    if (isOlder(count)) count = await scale.read(signal);
    if (isOlder(count)) {
      this.regressed(before, count.version);
      // Bound as when it joins, which it will soon. `see` then takes over the count, so no claim names a
      // version that is gone.
      placement.bind(count.version);
    }
    placement.see(count);
    return count;
  }

  /** An object that had version `from` has the older version `to` now. */
  regressed(from: string, to: string): void {
    const { log, placement } = this.#ports;
    log.error("resource_versions_regressed", {
      from,
      to,
      then: "this proxy joins the others again; running sessions continue",
    });
    placement.startAnew();
    this.#onRegressed.tell();
  }

  /**
   * Reads the count: missing rights must show when the proxy starts, not when the first client waits.
   *
   * @throws what the API says
   */
  async checkRights(signal: AbortSignal): Promise<void> {
    await this.read(signal);
  }
}
