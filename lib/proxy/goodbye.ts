/**
 * What a client is told when it gets no pod: the reason in words, and how it reaches the client. A client that speaks
 * plain HTTP/2 gets an answer to each of its calls; others only see their connection closed. This file does not decide
 * when a hold ends.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { close, tune } from "../base/conn.ts";
import type { Outcome } from "../base/metrics.ts";
import type { Conn } from "../base/network.ts";
import { formatDurationMs } from "../config/duration.ts";
import { Hold, type HoldBudget, type Leaving } from "./hold.ts";
import { GRPC_STATUS } from "./http2_errors.ts";
import type { Refusal } from "./http2_opening.ts";

/** How long a client that was refused may stay, in ms: for the calls that it makes before it exits. */
export const LINGER_MS = 5_000;

/** gRPC clients give a new connection 20 s: one that leaves well before has other reasons. */
const CLIENT_LIMIT_MS = 15_000;

/** The hold has ended without a pod. */
export class HoldEnded extends Error {
  /** Always `HoldEnded`. */
  override readonly name = "HoldEnded";
  /** How the session has ended. */
  readonly outcome: Outcome;
  /** What an HTTP/2 client is told, as a gRPC status; nothing if it has left. */
  readonly status: number | undefined;

  /** The message is for the client as well as for the log. */
  constructor(outcome: Outcome, message: string, status?: number) {
    super(message);
    this.outcome = outcome;
    this.status = status;
  }
}

/** No pod was ready in time: the end of such a hold, with the reason for it. */
export async function timedOut(
  { outcome, status }: HoldEnded,
  why: Promise<string>,
  waitedMs: number,
  hold: Hold,
): Promise<HoldEnded> {
  return new HoldEnded(outcome, `${lateText(waitedMs, await why)}${describeProtocol(hold)}`, status);
}

/** That no pod was ready in time, and why. */
export function lateText(waitedMs: number, why: string): string {
  return `buildkitd did not become ready in ${formatDurationMs(waitedMs)}: ${why}`;
}

/** The client has sent nothing, so nobody asked for a pod: this end is no fault. */
export function silentWhileHeld(waitedMs: number): HoldEnded {
  const forMs = formatDurationMs(waitedMs);
  return new HoldEnded(
    "idle_timeout",
    `Silent for ${forMs} while held (--wake-on=data, --ready-wait-timeout)`,
  );
}

/** The client has left. */
export function clientLeft(how: Leaving, hold: Hold, heldMs: number): HoldEnded {
  const said = hold.goAway ? "sent GOAWAY" : how === "fin" ? "closed its connection" : "reset its connection";
  const why = heldMs >= CLIENT_LIMIT_MS ? describeProtocol(hold) : "";
  return new HoldEnded("client_left", `The client ${said} while it waited for buildkitd${why}`);
}

/** Why a client could not be kept patient, where that is so. */
function describeProtocol({ speaks }: Hold): string {
  if (speaks !== "other") return "";
  return "; it does not speak plaintext HTTP/2 (with TLS its bytes cannot be read), so its own limit for a new " +
    "connection applies, which is 20s in gRPC clients";
}

/** Tells a held client what it can be told before its connection is closed. Never throws. */
export async function sayGoodbye(
  ended: HoldEnded,
  hold: Hold,
  clock: Clock,
  cut: AbortSignal,
): Promise<void> {
  const { outcome, status, message } = ended;
  if (outcome === "protocol_error") {
    const written = new AbortController();
    hold.written.then(() => written.abort());
    using over = anySignal(written.signal, cut);
    await sleep(clock, LINGER_MS, over.signal).catch(() => {});
  }
  if (status !== undefined) await tell(hold, { status, message }, clock, cut);
}

/** Tells a client that there is no room for its session, if it can be told, and closes it. Never throws. */
export async function refuseSession(
  downstream: Conn,
  message: string,
  { clock, budget }: { readonly clock: Clock; readonly budget: HoldBudget },
  cut: AbortSignal,
): Promise<void> {
  const hold = new Hold(downstream, budget, { bytes: () => {}, left: () => {}, malformed: () => {} });
  try {
    tune(downstream);
    hold.start();
    await tell(hold, { status: GRPC_STATUS.resourceExhausted, message }, clock, cut);
  } finally {
    hold.end();
    close(downstream);
  }
}

/** Answers every call of an HTTP/2 client with an error, until it leaves or has had its time. */
async function tell(hold: Hold, refusal: Refusal, clock: Clock, cut: AbortSignal): Promise<void> {
  hold.refuse(refusal);
  using over = anySignal(hold.gone, cut);
  await sleep(clock, LINGER_MS, over.signal).catch(() => {});
}
