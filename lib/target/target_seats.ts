/**
 * The seats of one StatefulSet: `Placement` chooses the pod; this file dials the pod, logs why dials fail, and reports
 * cold starts to `ColdStart`. It never writes replicas, and keeps no connection of a session.
 *
 * @module
 */
import type { Abortable } from "../base/ending.ts";
import { CauseLog } from "../base/log.ts";
import type { Conn } from "../base/network.ts";
import type { BuilderPorts } from "../base/ports.ts";
import type { ColdStart } from "../scaler/cold_start.ts";
import type { Placement } from "../scaler/placement.ts";
import type { ResetExplainer } from "../scaler/reset_explainer.ts";
import type { Dialler } from "./dial.ts";
import type { Beyond, BuilderSeats, DialError, Seat } from "./seats.ts";

/** What the seats are made of. */
export interface TargetSeatsPorts extends Pick<BuilderPorts, "log" | "metrics"> {
  /** Connects to the pods. */
  readonly dialler: Pick<Dialler, "dial">;
  /** Knows the pods, and which session is where. */
  readonly placement: Placement;
  /** Told when a cold start begins, and of the daemon's first byte. */
  readonly coldStart: Pick<ColdStart, "begin" | "reached">;
  /** Knows how pods have ended. */
  readonly resets: Pick<ResetExplainer, "explain">;
  /** Knows why no pod is ready. */
  explainWait(signal: AbortSignal): Promise<string>;
}

/** Gives the seats of one StatefulSet. */
export class TargetSeats implements BuilderSeats {
  readonly #ports: TargetSeatsPorts;
  readonly #dialFaults: CauseLog;

  /** Seats nobody yet. */
  constructor(ports: TargetSeatsPorts) {
    this.#ports = ports;
    this.#dialFaults = new CauseLog(ports.log, "pod_connection_failed");
  }

  get calling(): number {
    return this.#ports.placement.usage.needing;
  }

  seat(id: number, counts: boolean, beyond: Beyond): Seat | undefined {
    return this.#ports.placement.seat(id, counts, beyond);
  }

  hold(id: number, needs: boolean): void {
    const { placement, coldStart } = this.#ports;
    const wakes = needs && !this.needs(id);
    placement.hold(id, needs);
    if (wakes) coldStart.begin();
  }

  seatWatcher(id: number): Seat | undefined {
    return this.#ports.placement.seatWatcher(id);
  }

  watch(id: number): void {
    this.#ports.placement.watch(id);
  }

  watchNoMore(id: number): boolean {
    return this.#ports.placement.watchNoMore(id);
  }

  keeps(id: number): boolean {
    return this.#ports.placement.keeps(id);
  }

  callFor(id: number): void {
    const { placement, coldStart } = this.#ports;
    placement.hold(id, true);
    coldStart.begin(false);
  }

  keepAwake(id: number): boolean {
    const { placement } = this.#ports;
    const [lowest] = placement.usable;
    const kept = placement.usage.ordinalOf(id);
    if (kept !== undefined && (lowest === undefined || lowest >= kept)) return true;
    if (placement.seatWatcher(id) === undefined) return false;
    if (placement.watchNoMore(id)) {
      placement.silent(id, true);
      return true;
    }
    placement.end(id);
    return false;
  }

  dial({ backend }: Seat, signal: Abortable): Promise<Conn> {
    return this.#ports.dialler.dial(backend, signal);
  }

  failed(seat: Seat, { message, isLocal }: DialError): void {
    const { metrics, placement } = this.#ports;
    metrics.record("dial_errors_total", 1, {});
    this.#dialFaults.failed(message, { pod: seat.backend.pod });
    if (!isLocal) placement.failed(seat);
  }

  connected(seat: Seat): boolean {
    const { placement } = this.#ports;
    placement.pods.dialled(seat.backend.uid);
    const isValid = placement.isValid(seat);
    if (isValid) this.#dialFaults.succeeded();
    return isValid;
  }

  used(id: number): void {
    this.#ports.placement.markUsed(id);
  }

  needs(id: number): boolean {
    return this.#ports.placement.usage.needs(id);
  }

  silent(id: number, isSilent: boolean): void {
    this.#ports.placement.silent(id, isSilent);
  }

  answered(_id: number): void {
    this.#ports.coldStart.reached("first_byte");
  }

  end(id: number): void {
    this.#ports.placement.end(id);
  }

  explainWait(signal: AbortSignal): Promise<string> {
    return this.#ports.explainWait(signal);
  }

  explainReset({ backend }: Seat, connectedForMs: number, tell: (how: string | undefined) => void): void {
    this.#ports.resets.explain(backend, connectedForMs, tell);
  }
}
