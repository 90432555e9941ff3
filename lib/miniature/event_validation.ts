/**
 * What kube-apiserver refuses of an Event. Pure.
 * Source: `pkg/apis/core/validation/events.go` of Kubernetes, for requests of `events.k8s.io/v1`.
 *
 * @module
 */
import { equal, isObject } from "./json.ts";
import type { KubeObject } from "./objects.ts";
import { badRequest, invalid } from "./status.ts";

/** Six digits after the second. */
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/;

/** Fields with the longest text that they take. */
const WORDS = { reason: 128, action: 128, reportingController: Infinity, reportingInstance: 128 };

/** What no update changes. */
const IMMUTABLE = [
  "regarding",
  "related",
  "note",
  "reason",
  "action",
  "type",
  "eventTime",
  "reportingController",
  "reportingInstance",
] as const;

/** Checks an Event before it is written; `before`: as it was. @throws ApiError 400, 422 */
export function validateEvent(event: KubeObject, before: KubeObject | undefined): void {
  const { name } = event.metadata;
  const refuse = (field: string, fault: string) => invalid("Event", "", name, fieldOf(field), fault);
  for (const time of [event["eventTime"], seriesOf(event)?.["lastObservedTime"]]) {
    if (time === undefined || time === null || MICRO_TIME.test(`${time}`)) continue;
    throw badRequest(`Event in version "v1" cannot be handled as a Event: parsing time "${time}" failed`);
  }
  if (!event["eventTime"]) throw refuse("eventTime", "Required value");
  for (const [field, longest] of Object.entries(WORDS)) {
    const text = `${event[field] ?? ""}`;
    if (text === "") throw refuse(field, "Required value");
    if (text.length > longest) {
      throw refuse(field, `Invalid value: "": can have at most ${longest} characters`);
    }
  }
  if (new TextEncoder().encode(`${event["note"] ?? ""}`).length > 1024) {
    throw refuse("note", 'Invalid value: "": can have at most 1024 characters');
  }
  if (event["type"] !== "Normal" && event["type"] !== "Warning") {
    throw refuse("type", `Invalid value: "": has invalid value: ${event["type"]}`);
  }
  const series = seriesOf(event);
  if (series !== undefined && !(Number(series["count"]) >= 2)) {
    throw refuse("series.count", 'Invalid value: "": should be at least 2');
  }
  if (series !== undefined && !series["lastObservedTime"]) {
    throw refuse("series.lastObservedTime", "Required value");
  }
  const changed = before && IMMUTABLE.find((field) => !equal(before[field] ?? null, event[field] ?? null));
  if (changed !== undefined) {
    throw refuse(changed, `Invalid value: ${JSON.stringify(event[changed])}: field is immutable`);
  }
}

/** Events were of the core group once, and errors still say so. */
function fieldOf(field: string): string {
  return field === "note" ? "message" : field;
}

function seriesOf(event: KubeObject): Readonly<Record<string, unknown>> | undefined {
  return isObject(event["series"]) ? event["series"] : undefined;
}
