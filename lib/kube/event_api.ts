/**
 * Writes Events of one namespace. Their failures are failures of nothing else: they do not count as a lack of access to
 * the API.
 *
 * @module
 */
import type { ApiVerb } from "../base/metrics.ts";
import type { ApiTarget } from "./api_error.ts";
import type { ApiRequest, KubeClient } from "./client.ts";
import type { KubeEvent } from "./types.ts";

/** The API group of Events. */
export const EVENT_GROUP = "events.k8s.io";

/** Events as an interface, so that its users can be tested without HTTP. */
export interface EventApi {
  /** Creates an Event. @throws ApiError 409 when it exists */
  create(event: KubeEvent, signal: AbortSignal): Promise<void>;
  /** Says how often it has occurred by now, and when it last did. @throws ApiError 404 when it has expired */
  observe(name: string, series: NonNullable<KubeEvent["series"]>, signal: AbortSignal): Promise<void>;
}

/** The real {@link EventApi}. */
export function eventApi(client: KubeClient, namespace: string): EventApi {
  const target = (verb: ApiVerb, name: string): ApiTarget => {
    return { verb, group: EVENT_GROUP, resource: "events", namespace, name };
  };
  // The right is optional, and what has expired is created anew.
  const write = async (request: Omit<ApiRequest, "isAside" | "expected">, signal: AbortSignal) =>
    void await client.json({ ...request, expected: [403, 404, 409], isAside: true }, signal);
  return {
    create: (event, signal) => {
      const body = { apiVersion: `${EVENT_GROUP}/v1`, kind: "Event", ...event };
      return write({ target: target("create", ""), method: "POST", body }, signal);
    },
    observe: (name, series, signal) => {
      const contentType = "application/merge-patch+json";
      return write({ target: target("patch", name), method: "PATCH", contentType, body: { series } }, signal);
    },
  };
}
