/**
 * Errors of the Kubernetes API. Their messages name the verb, the resource and the remedy. No I/O.
 *
 * @module
 */
import type { ApiVerb } from "../base/metrics.ts";

/** What a request acts on, in the terms of RBAC. */
export interface ApiTarget {
  /** The RBAC verb. */
  readonly verb: ApiVerb;
  /** All verbs that it takes, if it is more than that one. */
  readonly verbs?: readonly ApiVerb[];
  /** The API group, such as `apps`. */
  readonly group: string;
  /** The resource, with its subresource: `statefulsets/scale`. */
  readonly resource: string;
  /** The version of the API, if not `v1`. */
  readonly version?: string;
  /** The namespace of the object or collection; empty for one of the whole cluster. */
  readonly namespace: string;
  /** The object's name; empty for a collection. */
  readonly name: string;
}

/**
 * The API server has answered with an error.
 * Source of the fields: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
export class ApiError extends Error {
  /** Always `ApiError`. */
  override readonly name = "ApiError";
  /** The HTTP status. For an error inside a watch, the code of its Status object. */
  readonly status: number;
  /** The Status reason, such as `Conflict`, or an empty string. */
  readonly reason: string;
  /** The message without the request: the cause and, if there is one, the remedy. */
  readonly detail: string;
  /** True for a 403 of the authorizer, false for one of admission. */
  readonly isMissingPermission: boolean;
  /** How long the server asks to wait before the next try, in ms. */
  readonly retryAfterMs: number | undefined;

  /** Makes the message from the target, the server's response and a `hint`, which begins with its own punctuation. */
  constructor(target: ApiTarget, status: number, said: StatusLike, retryAfterMs?: number, hint = "") {
    const detail = describe(target, status, said) + hint;
    super(`Cannot ${describeTarget(target)}: ${detail}`);
    this.detail = detail;
    this.status = status;
    this.reason = said.reason ?? "";
    this.isMissingPermission = status === 403 && isMissingPermission(said.message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The fields of a Kubernetes `Status` that the program reads. */
export interface StatusLike {
  /** One word for programs. */
  readonly reason?: string | undefined;
  /** A sentence for people. */
  readonly message?: string | undefined;
  /** The HTTP status. */
  readonly code?: number | undefined;
}

/** Describes a request: `get statefulsets/scale "buildkitd" in namespace "default"`. */
export function describeTarget({ verb, resource, namespace, name }: ApiTarget): string {
  const where = namespace === "" ? "" : ` in namespace "${namespace}"`;
  return `${verb} ${resource}${name === "" ? "" : ` "${name}"`}${where}`;
}

function describe(target: ApiTarget, status: number, { reason, message }: StatusLike): string {
  const said = `HTTP ${status}${reason ? ` ${reason}` : ""}${message ? `: ${message}` : ""}`;
  switch (status) {
    case 401:
      return `the API server does not accept the credentials (${said})`;
    case 403:
      // Admission also answers 403: a webhook, a quota, a namespace that is being deleted.
      if (!isMissingPermission(message)) return said;
      return `no permission (${said}); the missing rule in a Role of namespace "${target.namespace}" is ` +
        `apiGroups: ["${target.group}"], resources: ["${target.resource}"], ` +
        `verbs: [${(target.verbs ?? [target.verb]).map((verb) => `"${verb}"`).join(", ")}]`;
    default:
      return said;
  }
}

/**
 * Whether a 403 comes from the authorizer. One without a message counts as such.
 * Source of the wording: kube-apiserver's endpoints/handlers/responsewriters/errors.go
 */
function isMissingPermission(message = ""): boolean {
  // Where a request needs a second permission, as a port-forward does in 1.36, the authorizer gives no reason for it.
  return message === "" || /\bUser ".*" cannot | is forbidden: *$/.test(message);
}

/** True if the authorizer has refused the request: the program has no permission. False if admission has refused it. */
export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.isMissingPermission;
}

/** True when the object has changed since it was read, or exists already: read it again. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

/** True when the resourceVersion is too old for a watch: list again. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 410 || error.reason === "Expired");
}
