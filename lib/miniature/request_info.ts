/**
 * What a request asks for, read from its method and path, as kube-apiserver's RequestInfo does. Pure.
 * Source: k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
 *
 * @module
 */
import { apiVersionOf, type Resource, RESOURCES } from "./objects.ts";
import { parseFieldSelector } from "./selectors.ts";
import { methodNotAllowed, noSuchPath } from "./status.ts";

/** The verbs of access rules. */
export type Verb = "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";

/** One request, understood. */
export interface RequestInfo {
  /** What it does. */
  readonly verb: Verb;
  /** To what. */
  readonly resource: Resource;
  /** `scale`, `status` or `portforward`, if through one. */
  readonly subresource: string | undefined;
  /** In which namespace; in all, if none. */
  readonly namespace: string | undefined;
  /** The object: named in the path or, for list and watch, by the field selector. */
  readonly name: string | undefined;
}

/** Reads a request. @throws ApiError 404 for a path, 405 for a method that is not served */
export function parseRequest(method: string, url: URL): RequestInfo {
  const match =
    /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?$/
      .exec(url.pathname);
  if (match === null) throw noSuchPath();
  const [group = "", version, namespace, plural, name, subresource] = match.slice(1).map((part) =>
    part === undefined ? undefined : decodeURIComponent(part)
  );
  const resource = RESOURCES.find((it) =>
    it.plural === plural && it.group === group && it.version === version
  );
  if (resource === undefined || (resource.clusterScoped && namespace !== undefined)) throw noSuchPath();
  if (!resource.clusterScoped && name !== undefined && namespace === undefined) throw noSuchPath();
  const known = subresource === undefined || (subresource === "scale" && resource.hasScale) ||
    (subresource === "status" && resource.hasStatus) ||
    (subresource === "portforward" && resource.plural === "pods");
  if (!known) throw noSuchPath();
  const selector = url.searchParams.get("fieldSelector");
  const selected = name ?? (selector === null ? undefined : parseFieldSelector(selector, resource).name);
  const verb = verbOf(method, url, name);
  if (verb === undefined || (subresource !== undefined && verb === "delete")) throw methodNotAllowed();
  if (verb === "create" && namespace === undefined && !resource.clusterScoped) throw methodNotAllowed();
  return { verb, resource, subresource, namespace, name: selected };
}

/** `apps/v1/statefulsets/scale`: a short name for logs and counts. */
export function subjectOf({ resource, subresource }: RequestInfo): string {
  const path = `${apiVersionOf(resource)}/${resource.plural}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

function verbOf(method: string, url: URL, name: string | undefined): Verb | undefined {
  if (name === undefined) {
    if (method === "POST") return "create";
    if (method !== "GET") return undefined;
    return ["1", "true"].includes(url.searchParams.get("watch") ?? "") ? "watch" : "list";
  }
  const verbs: Record<string, Verb> = { GET: "get", PUT: "update", PATCH: "patch", DELETE: "delete" };
  return verbs[method];
}
