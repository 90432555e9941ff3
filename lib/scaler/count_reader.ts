/**
 * Reads the count consistently, and notices when the API's versions have gone back: a consistent read is never older
 * than what was seen before it was sent, unless the API server's data was restored from a backup. Then nothing that was
 * seen or promised before means anything, and this proxy has to join the others anew.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";
import type { Count, ScaleApi } from "../kube/scale.ts";
import { isNewer } from "./agreement.ts";
import type { Placement } from "./placement.ts";

/** What it reads with. */
export interface CountReaderPorts extends Pick<BasePorts, "log"> {
  /** The count. */
  readonly scale: Pick<ScaleApi, "read">;
  /** Told what was read. */
  readonly placement: Placement;
  /** The versions have gone back: what is known from watches must be listed anew, and the proxy must join again. */
  onRestored(): void;
}

/** Reads, for all who write the count. */
export class CountReader {
  readonly #ports: CountReaderPorts;

  /** Asks nothing yet. */
  constructor(ports: CountReaderPorts) {
    this.#ports = ports;
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
    // So grave a thing is not believed at once.
    if (isOlder(count)) count = await scale.read(signal);
    if (isOlder(count)) {
      this.startAnew(before, count.version);
      // As a proxy that joins: it will, but its next claim must not be conditioned on a version that is gone.
      placement.bind(count.version);
    }
    placement.see(count);
    return count;
  }

  /** An object that had version `from` has the older version `to` now: what was seen and promised means nothing any more. */
  startAnew(from: string, to: string): void {
    const { log, placement, onRestored } = this.#ports;
    log.error("resource_versions_regressed", {
      from,
      to,
      then: "this proxy joins the others anew; running sessions go on",
    });
    placement.startAnew();
    onRestored();
  }
}
