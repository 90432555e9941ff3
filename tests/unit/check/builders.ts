/**
 * A builder and its objects, as the tests of the findings about them take them.
 *
 * @module
 */
import type { Finding, Read } from "../../../lib/check/finding.ts";
import type { Builder } from "../../../lib/check/stateful_set.ts";
import type { Service, StatefulSet } from "../../../lib/kube/types.ts";

/** A builder with the settings' defaults. */
export const BUILDER: Builder = {
  name: "builder",
  service: "builder-headless",
  namespace: "ci",
  port: 8372,
  maxReplicas: 1,
  usesDns: false,
};

type Spec = NonNullable<StatefulSet["spec"]>;

/** Its StatefulSet, with other fields in its spec, or in the spec of its pods. */
export function statefulSet(
  spec: Partial<Spec> = {},
  pod: object = {},
  more: Partial<StatefulSet> = {},
): StatefulSet {
  return {
    metadata: { name: "builder", ...more.metadata },
    spec: {
      replicas: 0,
      serviceName: "builder-headless",
      selector: { matchLabels: { app: "builder" } },
      template: {
        metadata: { labels: { app: "builder", tier: "ci" } },
        spec: {
          containers: [{
            name: "buildkitd",
            image: "moby/buildkit",
            ports: [{ name: "tcp-buildkit", containerPort: 8372 }],
          }],
          ...pod,
        },
      },
      ...spec,
    },
    ...(more.status === undefined ? {} : { status: more.status }),
  };
}

/** Its headless Service, with other fields in its spec. */
export function service(spec: NonNullable<Service["spec"]> = {}): Read<Service> {
  return found({
    spec: {
      clusterIP: "None",
      selector: { app: "builder" },
      ports: [{ name: "tcp-buildkit", port: 8372, targetPort: "tcp-buildkit" as unknown as number }],
      ...spec,
    },
  });
}

/** What was read. */
export function found<T>(value: T): Read<T> {
  return { is: "found", value };
}

/** There is none. */
export const absent = { is: "absent" } as const;

/** It may not be read. */
export const unread = { is: "unread", why: "no right to get it" } as const;

/** The findings that are not `ok`, in short. */
export function faults(findings: readonly Finding[]): string[] {
  return findings.filter(({ result }) => result !== "ok").map(({ check, result, found }) =>
    `${result} ${check}: ${found}`
  );
}
