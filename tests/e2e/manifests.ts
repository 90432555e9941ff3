/**
 * Rendered manifests, and the paths at which the API server takes objects of their kinds.
 *
 * The paths come from the server's own discovery, so a kind that it does not know (one of a custom resource that is not
 * installed) is an error here, as it is for a user.
 *
 * @module
 */

import { loadAll } from "js-yaml";
import type { KubeApi, KubeObject } from "./kube_api.ts";

/** One kind of object that the server has. */
export interface Resource {
  /** Such as `/apis/apps/v1`. */
  readonly group: string;
  /** The plural, as in paths. */
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

/** The objects of a YAML stream. */
export function parseManifests(yaml: string): readonly KubeObject[] {
  return (loadAll(yaml) as (KubeObject | null)[]).filter((object) => object !== null);
}

/** All kinds that the server has, in the versions it prefers. */
export async function discover(api: KubeApi): Promise<readonly Resource[]> {
  interface List {
    readonly resources: readonly Omit<Resource, "group">[];
  }
  const { groups } = await api.get<{ groups: { preferredVersion: { groupVersion: string } }[] }>("/apis");
  const paths = [
    "/api/v1",
    ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  const lists = await Promise.all(paths.map(async (group) => {
    const { resources } = await api.get<List>(group);
    return resources.map((resource) => ({ ...resource, group }));
  }));
  return lists.flat().filter(({ name }) => !name.includes("/"));
}

/** Where objects like this one are created; `namespace` is for those that name none. */
export function collectionPath(
  resources: readonly Resource[],
  object: KubeObject,
  namespace: string,
): string {
  const { apiVersion, kind, metadata } = object;
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const found = resources.find((resource) => resource.group === group && resource.kind === kind);
  if (found === undefined) throw new Error(`Cannot create a ${kind}: the server has none in ${apiVersion}`);
  return found.namespaced
    ? `${group}/namespaces/${metadata.namespace ?? namespace}/${found.name}`
    : `${group}/${found.name}`;
}

/** What is in a namespace, as `kind name`, sorted. Events and the objects that every namespace has are left out. */
export async function contentsOf(api: KubeApi, namespace: string): Promise<readonly string[]> {
  const resources = (await discover(api)).filter(({ namespaced, verbs, kind }) =>
    namespaced && verbs.includes("list") && kind !== "Event"
  );
  const found = await Promise.all(resources.map(async ({ group, name, kind }) => {
    const { items } = await api.get<{ items: KubeObject[] }>(`${group}/namespaces/${namespace}/${name}`);
    return items.map(({ metadata }) => `${kind} ${metadata.name}`);
  }));
  return found.flat().filter((object) => !OF_EVERY_NAMESPACE.includes(object)).sort();
}

const OF_EVERY_NAMESPACE = ["ConfigMap kube-root-ca.crt", "ServiceAccount default"];
