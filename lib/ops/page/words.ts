/**
 * Numbers, times and states in words, for the status page. Pure.
 *
 * @module
 */
import type { BuilderState, Outcome } from "../../base/metrics.ts";
import type { PodPhase } from "../history.ts";
import type { SavedFacts, StatusFacts } from "../status_facts.ts";
import { type Html, html } from "./html.ts";

/** `3 sessions`, `1 session`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** Seconds in the unit that suits them: `4.2 s`, `12 min`, `3.4 h`. */
export function amount(seconds: number): string {
  if (seconds === 0) return "0 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3_600).toFixed(seconds < 360_000 ? 1 : 0)} h`;
}

/** A sum of money, with its currency. */
export function money(sum: number, price: StatusFacts["price"]): string {
  return `${sum.toFixed(2)} ${price?.currency ?? ""}`.trim();
}

/** What was saved: money if the price is known, else time. */
export function savedText(
  saved: Pick<SavedFacts, "podSecondsAsleep" | "money">,
  price: StatusFacts["price"],
): string {
  return saved.money === undefined ? amount(saved.podSecondsAsleep) : money(saved.money, price);
}

/** The time of day of an ISO time, in UTC. */
export function timeOfDay(iso: string): string {
  return iso.slice(11, 19);
}

/** The time of day, with the date for machines and on hover. */
export function time(iso: string): Html {
  return html`<time datetime="${iso}" title="${iso.slice(0, 10)} UTC">${timeOfDay(iso)}</time>`;
}

/** The states of a builder in words. */
export const STATES: Readonly<Record<BuilderState, string>> = {
  missing: "Missing",
  ready: "Ready",
  stuck: "Stuck",
  starting: "Starting",
  unknown: "Not known yet",
  asleep: "Asleep",
};

/** The phases of a pod in words. */
export const PHASES: Readonly<Record<PodPhase, string>> = {
  wanted: "Wanted, not there yet",
  starting: "Starting",
  ready: "Ready",
  terminating: "Terminating",
};

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  completed: "Completed",
  client_left: "Client left while it waited",
  timed_out: "No pod in time",
  queue_timeout: "No room in time",
  watch_ended: "Watch ended",
  limited: "Refused at a limit",
  cordoned: "Refused: builder cordoned",
  protocol_error: "Protocol error",
  downstream_reset: "Client reset the connection",
  upstream_reset: "Pod reset the connection",
  drain_timeout: "Cut at shutdown",
  idle_timeout: "Closed for silence",
  failed: "Failed",
};

/** How a session ended, in words. */
export function outcomeText(outcome: string): string {
  return OUTCOMES[outcome as Outcome] ?? outcome;
}
