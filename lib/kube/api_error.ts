/**
 * What went wrong with a request to the Kubernetes API, in words that name the verb, the resource and the cure. No I/O.
 *
 * @module
 */
import type { ApiVerb } from "../base/metrics.ts";

/** What a request is about, in RBAC's words. */
export interface ApiTarget {
  /** RBAC's verb. */
  readonly verb: ApiVerb;
  /** The API group, such as `apps`. */
  readonly group: string;
  /** The resource, with its subresource: `statefulsets/scale`. */
  readonly resource: string;
  /** The object's or the collection's namespace. */
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
  /** The HTTP status; that of the Status object for an error inside a watch. */
  readonly status: number;
  /** The Status reason, such as `Conflict`, or an empty string. */
  readonly reason: string;
  /** The message without what the request was for: the cause, and the cure where there is one. */
  readonly detail: string;
  /** For a 403: the authorizer has refused it, not admission. */
  readonly isMissingRight: boolean;
  /** How long the server asks to wait before the next try, in ms. */
  readonly retryAfterMs: number | undefined;

  /** Makes the message from the target, the server's words, and what else is known (`hint`, which begins with its own mark). */
  constructor(target: ApiTarget, status: number, said: StatusLike, retryAfterMs?: number, hint = "") {
    const detail = describe(target, status, said) + hint;
    super(`Cannot ${describeTarget(target)}: ${detail}`);
    this.detail = detail;
    this.status = status;
    this.reason = said.reason ?? "";
    this.isMissingRight = status === 403 && isMissingRight(said.message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The parts of a Kubernetes `Status` that are read. */
export interface StatusLike {
  /** A word for machines. */
  readonly reason?: string | undefined;
  /** A sentence for people. */
  readonly message?: string | undefined;
  /** The HTTP status it stands for. */
  readonly code?: number | undefined;
}

/** Says what a request was for: `get statefulsets/scale "buildkitd" in namespace "default"`. */
export function describeTarget({ verb, resource, namespace, name }: ApiTarget): string {
  return `${verb} ${resource}${name === "" ? "" : ` "${name}"`} in namespace "${namespace}"`;
}

function describe(target: ApiTarget, status: number, { reason, message }: StatusLike): string {
  const said = `HTTP ${status}${reason ? ` ${reason}` : ""}${message ? `: ${message}` : ""}`;
  switch (status) {
    case 401:
      return `the API server does not accept the credentials (${said})`;
    case 403:
      // Admission refuses with it, too: a webhook, a quota, a namespace that is being deleted.
      if (!isMissingRight(message)) return said;
      return `no permission (${said}); the missing rule in a Role of namespace "${target.namespace}" is ` +
        `apiGroups: ["${target.group}"], resources: ["${target.resource}"], verbs: ["${target.verb}"]`;
    default:
      return said;
  }
}

/**
 * Whether a 403 is the authorizer's: one that says nothing is taken for that.
 * Source of the words: kube-apiserver's endpoints/handlers/responsewriters/errors.go
 */
function isMissingRight(message = ""): boolean {
  return message === "" || /\bUser ".*" cannot /.test(message);
}

/** True of the authorizer's answer to a request that the program has no right to; admission's refusals are none. */
export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.isMissingRight;
}

/** True when the object was changed since it was read (or, for a create, exists): look again. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

/** True when the resourceVersion is too old to watch from: list again. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 410 || error.reason === "Expired");
}
