/**
 * What the Events about a StatefulSet say: made from the records of the log, so that both tell the same. The table of
 * `docs/events.md` names all of them. Pure.
 *
 * @module
 */
import type { EventCode } from "../base/events.ts";
import type { LogFields } from "../base/log.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { ToldEvent } from "./event_queue.ts";
import { onOneLine } from "./log_output.ts";

/**
 * Who tells an Event: the proxy that did or suffered it (`self`), or the one that speaks for all, since they all see it
 * (`speaker`). The end of a fault is told by the proxy that told the fault.
 */
export type Teller = "self" | "speaker";

/** What the records of one code say as an Event. */
export interface EventRow {
  /** As in the Event. */
  readonly type: ToldEvent["type"];
  /** As in the Event. */
  readonly reason: string;
  /** As in the Event. */
  readonly action: string;
  /** Which proxy tells it. */
  readonly by: Teller;
  /** What it says; undefined if this record is no such Event. */
  readonly note: (fields: LogFields) => string | undefined;
}

/** Not the cause that names local files: Events are less private than the log. */
const cause = ({ cause, publicCause }: LogFields) => `${publicCause ?? cause}`;

function scaled(direction: -1 | 1) {
  return ({ from, to, because }: LogFields) =>
    Math.sign(Number(to) - Number(from)) === direction
      ? `Scaled from ${from} to ${to}: ${because}`
      : undefined;
}

function late(fields: LogFields): string {
  const { waiting } = fields;
  if (!(Number(waiting) > 0)) return cause(fields);
  return `${cause(fields)} (${waiting === 1 ? "a client waits" : `${waiting} clients wait`} for it)`;
}

/** Seconds, or minutes and seconds: nobody needs more. */
function time(ms: unknown): string {
  return formatDurationMs(Math.max(1, Math.round(Number(ms) / 1000) || 0) * 1000);
}

/** The rows of each code: the first whose note is defined counts. */
export const EVENT_ROWS: { readonly [Code in EventCode]?: readonly EventRow[] } = {
  scaled: [
    { type: "Normal", reason: "ScaledUp", action: "Scale", by: "self", note: scaled(1) },
    { type: "Normal", reason: "ScaledDown", action: "Scale", by: "self", note: scaled(-1) },
  ],
  scaling_failed: [
    { type: "Warning", reason: "ScalingFailed", action: "Scale", by: "self", note: cause },
  ],
  scaling_failed_recovered: [{
    type: "Normal",
    reason: "ScalingRecovered",
    action: "Scale",
    by: "self",
    note: () => "The replica count can be read and written again",
  }],
  rights_check_failed: [
    { type: "Warning", reason: "RightsNotConfirmed", action: "CheckRights", by: "self", note: cause },
  ],
  rights_check_failed_recovered: [{
    type: "Normal",
    reason: "RightsConfirmed",
    action: "CheckRights",
    by: "self",
    note: () => "The rights of the autoscaler suffice",
  }],
  replicas_changed_externally: [
    {
      type: "Warning",
      reason: "ReplicasLowered",
      action: "Watch",
      by: "self",
      note: ({ from, to, wanted }) =>
        wanted === undefined
          ? undefined
          : `Another client changed the replicas from ${from} to ${to}, though this proxy needs ${wanted}`,
    },
    {
      type: "Normal",
      reason: "ReplicasChanged",
      action: "Watch",
      by: "speaker",
      note: ({ from, to }) => `Another client changed the replicas from ${from} to ${to}`,
    },
  ],
  replicas_raised_again: [{
    type: "Warning",
    reason: "ReplicasContested",
    action: "Scale",
    by: "self",
    note: ({ to, keptMs }) =>
      `Another client raised the replicas to ${to} again soon after they were lowered; they stay for ` +
      `${time(keptMs)} unless a session uses them`,
  }],
  cold_start_ended: [{
    type: "Normal",
    reason: "ColdStartEnded",
    action: "Start",
    by: "self",
    note: ({ readyMs }) => `A pod was ready ${time(readyMs)} after a client had called for it`,
  }],
  pod_late: [
    {
      type: "Warning",
      reason: "BuilderStuck",
      action: "Start",
      by: "speaker",
      note: (fields) => fields.stuck === true ? late(fields) : undefined,
    },
    { type: "Warning", reason: "ColdStartSlow", action: "Start", by: "speaker", note: late },
  ],
  pod_late_recovered: [{
    type: "Normal",
    reason: "BuilderRecovered",
    action: "Start",
    by: "speaker",
    note: ({ ready }) => ready === true ? "No pod is awaited for long any more" : undefined,
  }],
  pod_connection_failed: [
    { type: "Warning", reason: "PodUnreachable", action: "Connect", by: "self", note: cause },
  ],
  pod_connection_failed_recovered: [{
    type: "Normal",
    reason: "PodReachable",
    action: "Connect",
    by: "self",
    note: () => "Connections to a pod succeed again",
  }],
  queue_slow: [{ type: "Warning", reason: "ClientsQueued", action: "Queue", by: "self", note: cause }],
  queue_slow_recovered: [{
    type: "Normal",
    reason: "QueueCleared",
    action: "Queue",
    by: "self",
    note: () => "No client has been queued for long any more",
  }],
  session_ended: [
    {
      type: "Warning",
      reason: "ClientTimedOut",
      action: "Hold",
      by: "self",
      note: ({ outcome, reason }) => outcome === "timed_out" ? `${reason}` : undefined,
    },
    {
      type: "Warning",
      reason: "QueueTimedOut",
      action: "Queue",
      by: "self",
      // Its reason can name the project, which is what a client says.
      note: ({ outcome }) =>
        outcome === "queue_timeout" ? "A client found no room within --queue-timeout" : undefined,
    },
  ],
};

/** The longest note that kube-apiserver takes, in bytes. */
const LONGEST_NOTE_BYTES = 1024;

/** The Event that a record of the log is, if it is one, and who tells it. */
export function eventOf(code: EventCode, fields: LogFields): { event: ToldEvent; by: Teller } | undefined {
  for (const { type, reason, action, by, note } of EVENT_ROWS[code] ?? []) {
    const text = note(fields);
    if (text !== undefined) return { event: { type, reason, action, note: shortened(onOneLine(text)) }, by };
  }
  return undefined;
}

/** Cuts a text at a whole character. */
function shortened(text: string): string {
  const bytes = new Uint8Array(LONGEST_NOTE_BYTES);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  if (read === text.length) return text;
  const { read: cut } = new TextEncoder().encodeInto(
    text,
    bytes.subarray(0, LONGEST_NOTE_BYTES - "…".length * 3),
  );
  return `${text.slice(0, cut)}…`;
}
