/**
 * The rights that the program uses with its settings, and what the caller lacks of them. docs/security.md and the chart's
 * Role list the same rights. Pure.
 *
 * @module
 */
import type { ApiVerb } from "../base/metrics.ts";
import { EVENT_GROUP } from "../kube/event_api.ts";
import { LEASE_GROUP } from "../kube/leases.ts";
import { failed, type Finding, kubectl, listed, ok, type Read, unchecked, warning } from "./finding.ts";

/** One verb on one resource. */
export interface Right {
  /** The verb. */
  readonly verb: ApiVerb;
  /** The API group; that of the core is empty. */
  readonly group: string;
  /** With its subresource: `statefulsets/scale`. */
  readonly resource: string;
  /** The one object that it is used on, if it is one. */
  readonly name?: string;
}

/** Rights to the same thing, without which the same does not work. */
export interface RightsTo {
  /** They differ in their verbs only. */
  readonly rights: readonly [Right, ...Right[]];
  /** What is lost without them, if the program works then. */
  readonly without?: string;
}

/** What the rights depend on. */
export interface RightsNeeded {
  /** The StatefulSets, each with the names of the pods that may be asked for. */
  readonly builders: readonly { readonly name: string; readonly pods: readonly string[] }[];
  /** Whether pods are reached through the API server: always, if nothing else works, or never. */
  readonly portForward: "always" | "fallback" | "never";
  /** Whether Events are written. */
  readonly events: boolean;
  /** It only observes: it writes no count. */
  readonly observe?: boolean;
}

/** What the program uses. */
export function rightsNeeded(
  { builders, portForward, events, observe = false }: RightsNeeded,
): readonly RightsTo[] {
  const ofCount = observe ? ["get"] as const : ["get", "update", "patch"] as const;
  return [
    ...builders.map(({ name }) => to(["list", "watch"], "apps", "statefulsets", name)),
    ...builders.map(({ name }) => to(ofCount, "apps", "statefulsets/scale", name)),
    to(["list", "watch"], "discovery.k8s.io", "endpointslices"),
    {
      ...to(["get", "list", "watch", "create", "update", "delete"], LEASE_GROUP, "leases"),
      without: "the proxy works only while no other one is in front of the same builder",
    },
    {
      ...to(["get"], "", "pods"),
      without: "clients and the log are not told why a pod does not start",
    },
    ...(events
      ? [{
        ...to(["create", "patch"], EVENT_GROUP, "events"),
        without: "`kubectl describe` tells nothing of the autoscaler",
      }]
      : []),
    ...(portForward === "never" ? [] : builders.flatMap(({ pods }) => pods)).map((pod) => ({
      // Kubernetes asks for both since 1.36.
      ...to(["get", "create"], "", "pods/portforward", pod),
      ...(portForward === "always"
        ? {}
        : { without: "pods are reached only from a network that has a route to them" }),
    })),
  ];
}

function to(verbs: readonly [ApiVerb, ...ApiVerb[]], group: string, resource: string, name?: string) {
  const named = name === undefined ? {} : { name };
  const [first, ...more] = verbs;
  const right = (verb: ApiVerb): Right => ({ verb, group, resource, ...named });
  return { rights: [right(first), ...more.map(right)] } as const;
}

/** The finding, from what the API server has answered about each of the rights, in their order. */
export function rightsFinding(
  { rights, without }: RightsTo,
  answers: readonly Read<boolean>[],
  { namespace, user }: { readonly namespace: string; readonly user: string | undefined },
): Finding {
  const [{ resource, name }] = rights;
  const check = `rights to ${resource}${name === undefined ? "" : ` "${name}"`}`;
  const want = listed(rights.map(({ verb }) => verb));
  const missing = rights.filter((_, i) => {
    const answer = answers[i];
    return answer?.is === "found" && !answer.value;
  });
  if (missing.length > 0) {
    const found = `no right to ${missing.map(({ verb }) => verb).join(", ")}`;
    const fix = grant(missing, namespace, user);
    return without === undefined
      ? failed(check, found, want, fix)
      : warning(check, `${found}: ${without}`, want, fix);
  }
  const unread = answers.find((answer) => answer.is === "unread");
  if (unread !== undefined) return unchecked(check, unread.why);
  if (answers.some(({ is }) => is === "absent")) {
    return unchecked(check, "the API server does not tell rights");
  }
  return ok(check, want);
}

/** The commands that grant rights which differ in their verbs only. */
function grant(missing: readonly Right[], namespace: string, user: string | undefined): string {
  const { group, resource: path, name } = missing[0]!;
  const verbs = missing.map(({ verb }) => verb);
  const [resource, ...subresource] = path.split("/");
  const qualified = [group === "" ? resource : `${resource}.${group}`, ...subresource].join("/");
  const role = ["buildkitd-autoscaler", ...verbs, ...path.split("/"), ...(name === undefined ? [] : [name])]
    .join("-");
  const only = name === undefined ? [] : [`--resource-name=${name}`];
  return [
    kubectl(
      namespace,
      "create",
      "role",
      role,
      `--verb=${verbs.join(",")}`,
      `--resource=${qualified}`,
      ...only,
    ),
    kubectl(namespace, "create", "rolebinding", role, `--role=${role}`, subject(user)),
  ].join(" && ");
}

function subject(user: string | undefined): string {
  const [, account] = /^system:serviceaccount:(.+:.+)$/.exec(user ?? "") ?? [];
  return account === undefined ? `--user=${user || "USER"}` : `--serviceaccount=${account}`;
}
