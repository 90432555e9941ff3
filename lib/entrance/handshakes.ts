/**
 * Bounds the TLS handshakes that are under way, because each takes memory, and the time that they compute: a flood must not
 * keep the program from its sessions and probes. Clients wait for a place with little more than their first record. The
 * network with the fewest handshakes goes first, as {@link ClientNetworks} counts them; it takes the place of the oldest one
 * of the network that has most. Nobody takes the place of another one of the same network, so all
 * of a burst get their turn.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import type { Clock } from "../base/clock.ts";
import { clientNetworkOf } from "../config/ip_networks.ts";
import { CrowdedOut } from "./arrivals.ts";
import type { ClientNetworks } from "./client_networks.ts";

/** Handshakes under way at a time. Each takes 40 KB, and 0.5 MB with the certificates of 140 authorities. */
export const MOST_HANDSHAKES = 96;

/** So many begin at once. Each computes for 1 to 5 ms. */
const AT_ONCE = 2;

/** The pause after that is as long as they have computed, so that half of the time is for all else; but not longer, in ms. */
const LONGEST_PAUSE_MS = 50;

/** A handshake that waits or is under way. */
interface Handshake {
  readonly network: string;
  /** Lets it begin. */
  readonly begin: () => void;
  /** Ends it. */
  readonly own: AbortController;
}

/** The handshakes of one server. */
export class Handshakes {
  readonly #clock: Pick<Clock, "nowMs" | "setTimer">;
  readonly #networks: Pick<ClientNetworks, "weightOf">;
  /** Oldest first. */
  readonly #waiting = new Set<Handshake>();
  readonly #underWay = new Set<Handshake>();
  #hasTurn = false;
  #pausesUntilMs = -Infinity;
  /** One has come or ended since the last turn. */
  #hasChanged = false;

  /** There are none yet. */
  constructor(clock: Pick<Clock, "nowMs" | "setTimer">, networks: Pick<ClientNetworks, "weightOf">) {
    this.#clock = clock;
    this.#networks = networks;
  }

  /** Runs `work` when it has a place. Its signal is aborted when it loses that, or by `over`. */
  async run<T>(hostname: string, over: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { promise, resolve: begin } = Promise.withResolvers<void>();
    const own = new AbortController();
    const one = { network: clientNetworkOf(hostname), begin, own };
    using ends = anySignal(own.signal, over);
    ends.signal.addEventListener("abort", () => begin(), { once: true });
    this.#waiting.add(one);
    this.#askTurn();
    try {
      await promise;
      ends.signal.throwIfAborted();
      return await work(ends.signal);
    } finally {
      this.#waiting.delete(one);
      this.#underWay.delete(one);
      this.#askTurn();
    }
  }

  /** No timer stays where nobody waits. */
  #askTurn(): void {
    this.#hasChanged = true;
    if (this.#hasTurn || this.#waiting.size === 0) return;
    this.#hasTurn = true;
    this.#clock.setTimer(Math.max(0, this.#pausesUntilMs - this.#clock.nowMs()), () => {
      this.#hasChanged = false;
      let begun = 0;
      while (begun < AT_ONCE && this.#beginOne()) begun++;
      const begunMs = this.#clock.nowMs();
      // They compute before the next timer.
      this.#clock.setTimer(0, () => {
        const nowMs = this.#clock.nowMs();
        this.#pausesUntilMs = nowMs + Math.min(LONGEST_PAUSE_MS, nowMs - begunMs);
        this.#hasTurn = false;
        if (begun === AT_ONCE || this.#hasChanged) this.#askTurn();
      });
    });
  }

  /** False if none waits, or none may take a place. */
  #beginOne(): boolean {
    const counts = new Map<string, number>();
    for (const { network } of this.#underWay) counts.set(network, (counts.get(network) ?? 0) + 1);
    const countOf = ({ network }: Handshake) => this.#networks.weightOf(network, counts.get(network) ?? 0);
    let [next] = this.#waiting;
    // Of equals the latest: where not all can be served, the others are ended by newer ones before it is their turn.
    for (const one of this.#waiting) if (countOf(one) <= countOf(next!)) next = one;
    if (next === undefined) return false;
    if (this.#underWay.size >= MOST_HANDSHAKES) {
      let [last] = this.#underWay;
      for (const one of this.#underWay) if (countOf(one) > countOf(last!)) last = one;
      if (countOf(last!) <= countOf(next)) return false;
      this.#underWay.delete(last!);
      last!.own.abort(new CrowdedOut("Too many TLS handshakes are under way"));
    }
    this.#waiting.delete(next);
    this.#underWay.add(next);
    next.begin();
    return true;
  }
}
