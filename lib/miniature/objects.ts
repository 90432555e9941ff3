/**
 * The shapes that the miniature cluster keeps, and the table of resources it knows. Only what this project reads and
 * writes is typed; every other field of an object is carried along untouched. Objects in the store are never changed
 * in place: a write makes a new one. No I/O.
 *
 * @module
 */

/** An object's reference to the one that owns it. */
export interface OwnerReference {
  /** The owner's API version. */
  readonly apiVersion: string;
  /** The owner's kind. */
  readonly kind: string;
  /** The owner's name. */
  readonly name: string;
  /** The owner's uid. */
  readonly uid: string;
  /** Whether the owner manages this object. */
  readonly controller?: boolean;
}

/** One manager's fields, as server-side apply keeps them. */
export interface ManagedFieldsEntry {
  /** The field manager. */
  readonly manager: string;
  /** `Apply`, or `Update` for every other write. */
  readonly operation: "Apply" | "Update";
  /** The API version the fields are named in. */
  readonly apiVersion: string;
  /** When the entry last changed. */
  readonly time: string;
  /** Always `FieldsV1`. */
  readonly fieldsType: "FieldsV1";
  /** The fields, as nested `f:<name>` keys. */
  readonly fieldsV1: FieldsV1;
  /** `scale` or `status` for a write through that subresource. */
  readonly subresource?: string;
}

/** A set of fields: nested `f:<name>` keys. */
export interface FieldsV1 {
  /** The fields below one key. */
  readonly [key: string]: FieldsV1;
}

/** `metadata` of a stored object. */
export interface ObjectMeta {
  /** The object's name. */
  name: string;
  /** The object's namespace. */
  namespace: string;
  /** New with every object. */
  uid: string;
  /** Changes with every write; a decimal integer that only grows. */
  resourceVersion: string;
  /** When it was created, RFC 3339. */
  creationTimestamp: string;
  /** Changes with the spec, for the kinds that have it. */
  generation?: number;
  /** Set once the object is going away. */
  deletionTimestamp?: string;
  /** Seconds until it has to be gone. */
  deletionGracePeriodSeconds?: number;
  /** Labels. */
  labels?: Record<string, string>;
  /** Annotations. */
  annotations?: Record<string, string>;
  /** Owners. */
  ownerReferences?: readonly OwnerReference[];
  /** Who owns which field. */
  managedFields?: readonly ManagedFieldsEntry[];
}

/** Any stored object. */
export interface KubeObject {
  /** `<group>/<version>`, or `v1`. */
  apiVersion: string;
  /** The kind. */
  kind: string;
  /** Name, version and so on. */
  metadata: ObjectMeta;
  /** What is wanted. */
  // deno-lint-ignore no-explicit-any -- each kind has its own; the table of resources says which are looked at
  spec?: any;
  /** What was observed. */
  // deno-lint-ignore no-explicit-any -- as above
  status?: any;
  /** Other fields of the kind. */
  [field: string]: unknown;
}

/** A kind of object that the API server keeps. */
export interface Resource {
  /** The API group, empty for core. */
  readonly group: string;
  /** The version. */
  readonly version: string;
  /** The name in paths. */
  readonly plural: string;
  /** The kind of one object. */
  readonly kind: string;
  /** Whether its objects are the whole cluster's, in no namespace. */
  readonly clusterScoped: boolean;
  /** Whether there is `/status`, so that a write to the object itself leaves its status alone. */
  readonly hasStatus: boolean;
  /** Whether there is `/scale`. */
  readonly hasScale: boolean;
  /** Whether `metadata.generation` counts changes of the spec. */
  readonly hasGeneration: boolean;
  /** Whether a `PUT` without a resourceVersion is taken as unconditional. */
  readonly unconditionalUpdate: boolean;
  /** Whether a `PUT` of an object that is not there creates it. */
  readonly createOnUpdate: boolean;
  /** Whether a delete only marks the object, until its kubelet deletes it with grace 0. */
  readonly gracefulDelete: boolean;
  /** The fields that a field selector may name, besides `metadata.name` and `metadata.namespace`. */
  readonly selectableFields: readonly string[];
}

const plain = {
  clusterScoped: false,
  hasStatus: false,
  hasScale: false,
  hasGeneration: false,
  unconditionalUpdate: true,
  createOnUpdate: false,
  gracefulDelete: false,
  selectableFields: [],
} as const;

/** `apps/v1` StatefulSets. */
export const STATEFULSETS: Resource = {
  ...plain,
  group: "apps",
  version: "v1",
  plural: "statefulsets",
  kind: "StatefulSet",
  hasStatus: true,
  hasScale: true,
  hasGeneration: true,
};

/** Core pods. */
export const PODS: Resource = {
  ...plain,
  group: "",
  version: "v1",
  plural: "pods",
  kind: "Pod",
  hasStatus: true,
  gracefulDelete: true,
  selectableFields: ["spec.nodeName", "status.phase"],
};

/** `discovery.k8s.io/v1` EndpointSlices. */
export const ENDPOINT_SLICES: Resource = {
  ...plain,
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
};

/** `coordination.k8s.io/v1` Leases. As in Kubernetes, an update must say which version it replaces. */
export const LEASES: Resource = {
  ...plain,
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  unconditionalUpdate: false,
  createOnUpdate: true,
};

/** `events.k8s.io/v1` Events. */
export const EVENTS: Resource = {
  ...plain,
  group: "events.k8s.io",
  version: "v1",
  plural: "events",
  kind: "Event",
  createOnUpdate: true,
};

/** Core Services. Nothing is made of them. */
export const SERVICES: Resource = { ...plain, group: "", version: "v1", plural: "services", kind: "Service" };

/** Core PersistentVolumeClaims. Nothing binds them. */
export const CLAIMS: Resource = {
  ...plain,
  group: "",
  version: "v1",
  plural: "persistentvolumeclaims",
  kind: "PersistentVolumeClaim",
  hasStatus: true,
};

/** Core Namespaces. Objects need none to be there. */
export const NAMESPACES: Resource = {
  ...plain,
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  clusterScoped: true,
};

/** `storage.k8s.io/v1` StorageClasses. */
export const STORAGE_CLASSES: Resource = {
  ...plain,
  group: "storage.k8s.io",
  version: "v1",
  plural: "storageclasses",
  kind: "StorageClass",
  clusterScoped: true,
};

/** `autoscaling/v2` HorizontalPodAutoscalers. Those here do nothing. */
export const AUTOSCALERS: Resource = {
  ...plain,
  group: "autoscaling",
  version: "v2",
  plural: "horizontalpodautoscalers",
  kind: "HorizontalPodAutoscaler",
};

/** Every resource that the API server keeps. */
export const RESOURCES: readonly Resource[] = [
  STATEFULSETS,
  PODS,
  ENDPOINT_SLICES,
  LEASES,
  EVENTS,
  SERVICES,
  CLAIMS,
  NAMESPACES,
  STORAGE_CLASSES,
  AUTOSCALERS,
];

/** `apps/v1`, or `v1` for core. */
export function apiVersionOf({ group, version }: Pick<Resource, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

/** `statefulsets.apps`, as error messages name a resource. */
export function qualifiedName({ group, plural }: Resource): string {
  return group === "" ? plural : `${plural}.${group}`;
}
