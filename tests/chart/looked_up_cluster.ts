/**
 * A cluster as far as helm looks at it when it renders with `--dry-run=server`: an API server with a version, a list of
 * what it serves, and the objects that it is given. It takes no write.
 *
 * @module
 */
import { join } from "node:path";
import { within } from "../support/deadline.ts";
import type { KubeObject } from "./helm.ts";

/** What it serves: helm wants to know every kind that the chart renders. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  "v1": ["ConfigMap", "Pod", "Service", "ServiceAccount"],
  "apps/v1": ["Deployment", "StatefulSet"],
  "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
};

function resources(groupVersion: string): unknown {
  const list = KINDS[groupVersion]!.map((kind) => ({
    name: `${kind.toLowerCase()}s`,
    singularName: kind.toLowerCase(),
    namespaced: true,
    kind,
    verbs: ["get"],
  }));
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion, resources: list };
}

function group(groupVersion: string): unknown {
  const [name, version] = groupVersion.split("/");
  const served = { groupVersion, version };
  return { name, versions: [served], preferredVersion: served };
}

const GROUPS = Object.keys(KINDS).filter((each) => each !== "v1");

/** What is the same in every cluster, by path. */
const ALWAYS: Readonly<Record<string, unknown>> = {
  "/version": { major: "1", minor: "36", gitVersion: "v1.36.0" },
  "/api": { kind: "APIVersions", versions: ["v1"] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: GROUPS.map(group) },
  "/api/v1": resources("v1"),
  ...Object.fromEntries(GROUPS.map((each) => [`/apis/${each}`, resources(each)])),
};

const NOT_FOUND = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "NotFound", code: 404 };

/** The chart asks for it to know whether there is a cluster at all. */
const NO_STATEFULSETS = { kind: "StatefulSetList", apiVersion: "apps/v1", metadata: {}, items: [] };

/** Where objects of its kind and namespace are. */
function pathOf({ apiVersion, kind, metadata: { namespace } }: KubeObject): string {
  const api = apiVersion.includes("/") ? "apis" : "api";
  return `/${api}/${apiVersion}/namespaces/${namespace}/${kind.toLowerCase()}s`;
}

const FORBIDDEN = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "Forbidden", code: 403 };

/** Serves until it is disposed of. */
export class LookedUpCluster implements AsyncDisposable {
  /** Whoever upgrades may not list the pods. */
  hidesPods = false;
  readonly #folder: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(folder: string, objects: readonly KubeObject[]) {
    this.#folder = folder;
    const found = new Map<string, unknown>();
    for (const each of objects) {
      const path = pathOf(each);
      found.set(`${path}/${each.metadata.name}`, each);
      const items = objects.filter((other) => pathOf(other) === path);
      found.set(path, { apiVersion: each.apiVersion, kind: `${each.kind}List`, metadata: {}, items });
    }
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
      const { pathname } = new URL(url);
      if (this.hidesPods && pathname.endsWith("/pods")) return Response.json(FORBIDDEN, { status: 403 });
      const answer = ALWAYS[pathname] ?? found.get(pathname) ??
        (pathname.endsWith("/statefulsets") ? NO_STATEFULSETS : undefined);
      return Response.json(answer ?? NOT_FOUND, { status: answer === undefined ? 404 : 200 });
    });
  }

  /** A cluster with these objects. */
  static async with(...objects: readonly KubeObject[]): Promise<LookedUpCluster> {
    const cluster = new LookedUpCluster(await Deno.makeTempDir(), objects);
    const named = <T>(key: string, value: T) => [{ name: "it", [key]: value }];
    await Deno.writeTextFile(
      cluster.kubeconfig,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: named("cluster", { server: `http://127.0.0.1:${cluster.#server.addr.port}` }),
        users: named("user", {}),
        contexts: named("context", { cluster: "it", user: "it" }),
        "current-context": "it",
      }),
    );
    return cluster;
  }

  /** The path of a kubeconfig for it. */
  get kubeconfig(): string {
    return join(this.#folder, "kubeconfig");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(this.#server.shutdown(), "the end of the server's connections");
    await Deno.remove(this.#folder, { recursive: true });
  }
}
