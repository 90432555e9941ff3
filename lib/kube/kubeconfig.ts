/**
 * Parses kubeconfigs and merges them as kubectl does
 * (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/): of several entries with one
 * name the first counts, and so does the first current context. Chooses the context; `kubeconfig_connection.ts` and
 * `kubeconfig_user.ts` read its content. Does not open files.
 *
 * @module
 */
import { asFields, FieldReader, type Problems } from "./fields.ts";

/** One or several kubeconfig files. */
export interface Kubeconfig {
  /** The files, for messages. */
  readonly files: readonly string[];
  /** Cluster entries by name: the object under `cluster`. */
  readonly clusters: ReadonlyMap<string, FieldReader>;
  /** User entries by name. */
  readonly users: ReadonlyMap<string, FieldReader>;
  /** Context entries by name. */
  readonly contexts: ReadonlyMap<string, FieldReader>;
  /** The context to use unless the user asks for another one. */
  readonly currentContext: string | undefined;
}

/** The parts of the context that is used. */
export interface ChosenContext {
  /** Its name. */
  readonly name: string;
  /** The file that it is in. */
  readonly file: string;
  /** Its namespace, if it has one. */
  readonly namespace: string | undefined;
  /** The `cluster` object of its cluster. */
  readonly cluster: FieldReader | undefined;
  /** The `user` object of its user, if the context has a user. */
  readonly user: FieldReader | undefined;
}

/** Parses one file; problems are added to `problems`. */
export async function parseKubeconfig(file: string, text: string, problems: Problems): Promise<Kubeconfig> {
  const document = await parseDocument(file, text, problems);
  const root = new FieldReader(problems, file, "", document ?? {});
  const kind = root.text("kind");
  if (kind !== undefined && kind !== "Config") root.problem("kind", `found "${kind}", want "Config"`);
  return {
    files: [file],
    clusters: entries(root, "clusters", "cluster"),
    users: entries(root, "users", "user"),
    contexts: entries(root, "contexts", "context"),
    currentContext: root.text("current-context"),
  };
}

async function parseDocument(file: string, text: string, problems: Problems) {
  // For kubectl, a file that is empty or has only comments is an empty configuration.
  if (text.replace(/^\s*#.*$/gm, "").trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const yaml = await import("js-yaml"); // seldom needed in a cluster, and 5 MB
    try {
      value = yaml.load(text);
    } catch (error) {
      if (!(error instanceof yaml.YAMLException)) throw error;
      const { reason, mark } = error; // its message would quote the file, secrets included
      const line = mark === undefined || mark === null
        ? ""
        : `, line ${mark.line + 1} column ${mark.column + 1}`;
      problems.file(file, `found invalid YAML${line}: ${reason}`);
      return {};
    }
  }
  const fields = asFields(value);
  if (fields === undefined && value !== null && value !== undefined) {
    problems.file(file, "found no object at the top, want a kubeconfig in YAML or JSON");
  }
  return fields;
}

function entries(root: FieldReader, list: string, key: string): Map<string, FieldReader> {
  const map = new Map<string, FieldReader>();
  for (const entry of root.objects(list)) {
    const name = entry.text("name");
    if (name === undefined) entry.problem("name", `found nothing, want the name of the ${key}`);
    // As in kubectl, an entry whose body is null is empty.
    const body = entry.object(key) ?? entry.empty(key);
    if (name !== undefined && !map.has(name)) map.set(name, body);
  }
  return map;
}

/** Merges the files. Of entries with the same name the first one counts. */
export function mergeKubeconfigs(configs: readonly Kubeconfig[]): Kubeconfig {
  const merge = (key: "clusters" | "users" | "contexts") =>
    new Map(configs.toReversed().flatMap((config) => [...config[key]]));
  return {
    files: configs.flatMap(({ files }) => files),
    clusters: merge("clusters"),
    users: merge("users"),
    contexts: merge("contexts"),
    currentContext: configs.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
  };
}

const quoted = (names: Iterable<string>) => [...names].sort().map((name) => `"${name}"`).join(", ");

/** The context that the user asks for, or the current one. Adds a problem if there is none. */
export function chooseContext(
  config: Kubeconfig,
  wanted: string | undefined,
  problems: Problems,
): ChosenContext | undefined {
  const files = config.files.join(", ");
  const existing = config.contexts.size === 0
    ? "and it has no contexts"
    : `want one of its contexts: ${quoted(config.contexts.keys())}`;
  const name = wanted ?? config.currentContext;
  if (name === undefined) {
    problems.file(files, `found no "current-context", set it or "--context", ${existing}`);
    return undefined;
  }
  const context = config.contexts.get(name);
  if (context === undefined) {
    const where = wanted === undefined ? "current-context" : "--context";
    problems.file(files, `found no context "${name}" (from "${where}"), ${existing}`);
    return undefined;
  }
  const follow = (key: "cluster" | "user", map: ReadonlyMap<string, FieldReader>) => {
    const target = context.text(key);
    if (target === undefined) {
      if (key === "cluster" && !context.has(key)) {
        context.problem(key, "found nothing, want the name of a cluster");
      }
      return undefined;
    }
    const found = map.get(target);
    if (found === undefined) {
      const known = map.size === 0 ? `there are no ${key}s` : `want one of: ${quoted(map.keys())}`;
      context.problem(key, `found "${target}", which does not exist, ${known}`);
    }
    return found;
  };
  return {
    name,
    file: context.file,
    namespace: context.text("namespace"),
    cluster: follow("cluster", config.clusters),
    user: follow("user", config.users),
  };
}
