/**
 * What a write to an object means: defaults, validation, preconditions, generation, field ownership, and which writes
 * change nothing. One synchronous step each. The API server calls it for clients, the controllers call it directly.
 * No HTTP, no permissions.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { equal, isObject, type JsonObject, mergePatch } from "./json.ts";
import { afterUpdate, applyTo, type Writer } from "./managed_fields.ts";
import { apiVersionOf, type KubeObject, type ManagedFieldsEntry, type Resource } from "./objects.ts";
import {
  alreadyExists,
  ApiError,
  badRequest,
  failedPrecondition,
  invalid,
  modified,
  notFound,
  unsupportedMediaType,
  wrongUid,
} from "./status.ts";
import type { Store } from "./store.ts";
import { validate, withDefaults } from "./validation.ts";

/** Who writes, and how. */
export interface WriteOptions {
  /** The field manager. */
  readonly manager: string;
  /** Through which subresource, if any. */
  readonly subresource?: string | undefined;
  /** For an apply: takes fields from other managers. */
  readonly force?: boolean | undefined;
  /** Computes the answer and writes nothing. */
  readonly dryRun?: boolean | undefined;
}

/** What a delete asks for. */
export interface DeleteOptions {
  /** Seconds; 0 is at once. */
  readonly gracePeriodSeconds?: number | undefined;
  /** What the object must still be. */
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | undefined;
}

/** The media types of patches. */
export const PATCH_TYPES = {
  /** RFC 7396. */
  merge: "application/merge-patch+json",
  /** Kubernetes' own; lists are replaced here, which is right for what this project patches. */
  strategic: "application/strategic-merge-patch+json",
  /** Server-side apply; JSON is YAML. */
  apply: "application/apply-patch+yaml",
} as const;

/** The objects of one miniature cluster, and the rules for writing them. */
export class Registry {
  /** Where they are kept. Read it freely; write through this class. */
  readonly store: Store;
  readonly #clock: Clock;
  #uids = 0;

  /** Takes the store and the clock that dates objects. */
  constructor(store: Store, clock: Clock) {
    this.store = store;
    this.#clock = clock;
  }

  /** The wall time as objects state it. */
  now(): string {
    return dateOf(this.#clock.wallMs());
  }

  /** One object. @throws ApiError 404 */
  get(resource: Resource, namespace: string, name: string): KubeObject {
    const object = this.store.get(resource, namespace, name);
    if (object === undefined) throw notFound(resource, name);
    return object;
  }

  /** Creates an object. @throws ApiError 400, 409, 422 */
  create(resource: Resource, namespace: string, body: unknown, options: WriteOptions): KubeObject {
    const object = asObject(resource, body);
    const name = object.metadata.name ?? this.#generateName(object);
    if (this.store.get(resource, namespace, name) !== undefined) throw alreadyExists(resource, name);
    if (object.metadata.resourceVersion) {
      throw new ApiError(500, "", "resourceVersion should not be set on objects to be created");
    }
    const {
      deletionTimestamp: _at,
      deletionGracePeriodSeconds: _grace,
      managedFields: _owners,
      ...metadata
    } = object.metadata;
    const fresh = withDefaults(resource, {
      ...object,
      ...(resource.hasStatus ? { status: undefined } : {}),
      metadata: {
        ...metadata,
        name,
        namespace,
        uid: this.#nextUid(),
        resourceVersion: "0",
        creationTimestamp: this.now(),
        ...(resource.hasGeneration ? { generation: 1 } : {}),
      },
    });
    validate(resource, fresh);
    fresh.metadata.managedFields = afterUpdate(undefined, fresh, this.#writer(resource, options));
    return options.dryRun ? fresh : this.store.put(resource, fresh);
  }

  /** Replaces an object (`PUT`). @throws ApiError 400, 404, 409, 422 */
  replace(
    resource: Resource,
    namespace: string,
    name: string,
    body: unknown,
    options: WriteOptions,
  ): KubeObject {
    const wanted = asObject(resource, body);
    checkName(wanted, name);
    const live = this.store.get(resource, namespace, name);
    if (!wanted.metadata.resourceVersion && !resource.unconditionalUpdate) {
      const fault = "Invalid value: 0: must be specified for an update";
      throw invalid(resource.plural, resource.group, name, "metadata.resourceVersion", fault);
    }
    if (live === undefined && resource.createOnUpdate && options.subresource === undefined) {
      const { uid } = wanted.metadata;
      if (uid) throw wrongUid(resource, namespace, name, uid, "");
      return this.create(
        resource,
        namespace,
        mergePatch(wanted, { metadata: { resourceVersion: null } }),
        options,
      );
    }
    if (live === undefined) throw notFound(resource, name);
    return this.#update(resource, live, wanted, options);
  }

  /** Patches an object. @throws ApiError 400, 404, 409, 415, 422 */
  patch(
    resource: Resource,
    namespace: string,
    name: string,
    type: string,
    body: unknown,
    options: WriteOptions,
  ): KubeObject {
    if (!isObject(body)) throw badRequest("the object provided is unrecognized: found no JSON object");
    if (type === PATCH_TYPES.apply) return this.#apply(resource, namespace, name, body, options);
    if (type !== PATCH_TYPES.merge && type !== PATCH_TYPES.strategic) {
      throw unsupportedMediaType();
    }
    const live = this.get(resource, namespace, name);
    const wanted = asObject(resource, mergePatch(live, body));
    checkName(wanted, name);
    return this.#update(resource, live, wanted, options);
  }

  /** Deletes an object: the object as it now is while it terminates, or `undefined` once gone. @throws ApiError 404, 409 */
  delete(
    resource: Resource,
    namespace: string,
    name: string,
    options: DeleteOptions,
  ): KubeObject | undefined {
    const live = this.get(resource, namespace, name);
    const { uid, resourceVersion } = options.preconditions ?? {};
    const found = live.metadata;
    if (uid !== undefined && uid !== found.uid) {
      const why = `the UID in the precondition (${uid}) does not match the UID in record (${found.uid}). ` +
        "The object might have been deleted and then recreated";
      throw failedPrecondition(resource, name, why);
    }
    if (resourceVersion !== undefined && resourceVersion !== found.resourceVersion) {
      const why = `the ResourceVersion in the precondition (${resourceVersion}) does not match the ` +
        `ResourceVersion in record (${found.resourceVersion}). The object might have been modified`;
      throw failedPrecondition(resource, name, why);
    }
    const graceSeconds = options.gracePeriodSeconds ?? live.spec?.terminationGracePeriodSeconds ?? 30;
    if (!resource.gracefulDelete || graceSeconds === 0) {
      this.store.remove(resource, namespace, name);
      return undefined;
    }
    const shortestSeconds = live.metadata.deletionGracePeriodSeconds ?? Infinity;
    if (graceSeconds >= shortestSeconds) return live;
    const atMs = this.#clock.wallMs() + graceSeconds * 1000;
    const deletionTimestamp = dateOf(atMs);
    const metadata = { ...live.metadata, deletionTimestamp, deletionGracePeriodSeconds: graceSeconds };
    return this.store.put(resource, { ...live, metadata });
  }

  /** Server-side apply to an object that is there, without a look at its name or kind: for `/scale`. */
  applyFields(resource: Resource, live: KubeObject, patch: JsonObject, options: WriteOptions): KubeObject {
    const writer = this.#writer(resource, options);
    const applied = applyTo(live, patch, writer, options.force ?? false);
    return this.#update(resource, live, applied, options, applied.metadata.managedFields);
  }

  #apply(resource: Resource, namespace: string, name: string, body: JsonObject, options: WriteOptions) {
    checkApply(body, { apiVersion: apiVersionOf(resource), kind: resource.kind }, name, options);
    const live = this.store.get(resource, namespace, name);
    if (live !== undefined) {
      checkVersion(resource, live, (body["metadata"] ?? {}) as Partial<KubeObject["metadata"]>);
      return this.applyFields(resource, live, body, options);
    }
    if (options.subresource !== undefined) throw notFound(resource, name);
    return this.create(resource, namespace, mergePatch({ metadata: { name } }, body), options);
  }

  #update(
    resource: Resource,
    live: KubeObject,
    wanted: KubeObject,
    options: WriteOptions,
    owners?: readonly ManagedFieldsEntry[],
  ): KubeObject {
    checkVersion(resource, live, wanted.metadata);
    const { labels, annotations, ownerReferences } = wanted.metadata;
    const { labels: _labels, annotations: _annotations, ownerReferences: _references, ...metadata } =
      live.metadata;
    const changed: KubeObject = options.subresource === "status"
      ? { ...live, status: wanted.status }
      : { ...wanted, ...(resource.hasStatus ? { status: live.status } : {}) };
    const next = withDefaults(resource, {
      ...changed,
      metadata: {
        ...metadata,
        ...(labels === undefined ? {} : { labels }),
        ...(annotations === undefined ? {} : { annotations }),
        ...(ownerReferences === undefined ? {} : { ownerReferences }),
      },
    });
    validate(resource, next, live);
    next.metadata.managedFields = owners ?? afterUpdate(live, next, this.#writer(resource, options));
    if (equal(next, live)) return live;
    if (resource.hasGeneration && !equal(next.spec, live.spec)) {
      next.metadata.generation = (live.metadata.generation ?? 0) + 1;
    }
    return options.dryRun ? next : this.store.put(resource, next);
  }

  #writer(resource: Resource, { manager, subresource }: WriteOptions): Writer {
    return { manager, subresource, apiVersion: apiVersionOf(resource), time: this.now() };
  }

  #nextUid(): string {
    return `00000000-0000-4000-8000-${String(++this.#uids).padStart(12, "0")}`;
  }

  #generateName(object: KubeObject): string {
    const prefix = (object.metadata as { generateName?: string }).generateName;
    if (prefix === undefined) {
      throw invalid(object.kind, "", "", "metadata.name", "Required value: name or generateName is required");
    }
    return `${prefix}${(this.#uids + 1).toString(36).padStart(5, "x")}`;
  }
}

/** A time as objects state it: whole seconds, RFC 3339. */
function dateOf(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, "2024-01-01T00:00:00".length)}Z`;
}

/** Checks what every apply must bring. @throws ApiError 400, 422 */
export function checkApply(
  body: JsonObject,
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
  name: string,
  options: WriteOptions,
): void {
  if (options.manager === "") {
    const fault = "Required value: is required for apply patch";
    throw invalid("PatchOptions", "meta.k8s.io", "", "fieldManager", fault, "FieldValueRequired");
  }
  if (body["kind"] !== kind || body["apiVersion"] !== apiVersion) {
    throw badRequest(`invalid object type: ${body["apiVersion"] ?? "/"}, Kind=${body["kind"] ?? ""}`);
  }
  checkName({ metadata: body["metadata"] ?? {} } as KubeObject, name);
}

/** Checks the version and uid that a request says it is about. @throws ApiError 409 */
export function checkVersion(
  resource: Resource,
  live: KubeObject,
  { uid, resourceVersion }: Partial<KubeObject["metadata"]>,
): void {
  const { name, namespace } = live.metadata;
  if (uid && uid !== live.metadata.uid) throw wrongUid(resource, namespace, name, uid, live.metadata.uid);
  if (resourceVersion && resourceVersion !== live.metadata.resourceVersion) throw modified(resource, name);
}

function asObject(resource: Resource, body: unknown): KubeObject {
  if (!isObject(body)) throw badRequest("the object provided is unrecognized: found no JSON object");
  const kind = body["kind"] ?? resource.kind, apiVersion = body["apiVersion"] ?? apiVersionOf(resource);
  if (kind !== resource.kind || apiVersion !== apiVersionOf(resource)) {
    throw badRequest(
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: ` +
        `found ${apiVersion}, Kind=${kind}, want ${apiVersionOf(resource)}, Kind=${resource.kind}`,
    );
  }
  const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
  return { ...body, kind, apiVersion, metadata } as unknown as KubeObject;
}

function checkName(object: KubeObject, name: string): void {
  const found = object.metadata.name;
  if (found !== undefined && found !== name) {
    throw badRequest(`the name of the object (${found}) does not match the name on the URL (${name})`);
  }
}
