/**
 * Errors as kube-apiserver words them: a `Status` object with a reason, a message and details.
 * Source: k8s.io/apimachinery/pkg/api/errors/errors.go. No I/O.
 *
 * @module
 */
import type { Resource } from "./objects.ts";
import { qualifiedName } from "./objects.ts";

/** What a `Status` says of the object it is about. */
export interface StatusDetails {
  /** The object's name. */
  readonly name?: string;
  /** The API group. */
  readonly group?: string;
  /** The resource (or, for `Invalid`, the kind). */
  readonly kind?: string;
  /** The object's uid. */
  readonly uid?: string;
  /** Each single fault. */
  readonly causes?: readonly { readonly reason: string; readonly message: string; readonly field?: string }[];
  /** When to try again. */
  readonly retryAfterSeconds?: number;
}

/** A request that the API server refuses. */
export class ApiError extends Error {
  /** Always `ApiError`. */
  override readonly name = "ApiError";
  /** The HTTP status. */
  readonly code: number;
  /** The machine-readable reason, such as `Conflict`. */
  readonly reason: string;
  /** What it is about. */
  readonly details: StatusDetails | undefined;

  /** Takes the HTTP status, the reason, the message and what it is about. */
  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** The `Status` object that tells the client. */
  toStatus(): Record<string, unknown> {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

const about = (resource: Resource, name: string): StatusDetails => ({
  name,
  ...(resource.group === "" ? {} : { group: resource.group }),
  kind: resource.plural,
});

/** 404: there is no such object. */
export function notFound(resource: Resource, name: string): ApiError {
  return new ApiError(
    404,
    "NotFound",
    `${qualifiedName(resource)} "${name}" not found`,
    about(resource, name),
  );
}

/** 404: there is no such path. */
export function noSuchPath(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource", {});
}

/** 405: the path is there, the method is not. */
export function methodNotAllowed(): ApiError {
  const message = "the server does not allow this method on the requested resource";
  return new ApiError(405, "MethodNotAllowed", message, {});
}

/** 409: an object of this name exists. */
export function alreadyExists(resource: Resource, name: string): ApiError {
  const message = `${qualifiedName(resource)} "${name}" already exists`;
  return new ApiError(409, "AlreadyExists", message, about(resource, name));
}

/** 409: the object is not as the request says. */
export function conflict(resource: Resource, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`;
  return new ApiError(409, "Conflict", message, about(resource, name));
}

/** 409: the request is about another object of this name. */
export function wrongUid(
  resource: Resource,
  namespace: string,
  name: string,
  wanted: string,
  found: string,
): ApiError {
  const group = resource.group === "" ? "" : `${resource.group}/`;
  return conflict(
    resource,
    name,
    `StorageError: invalid object, Code: 4, Key: /registry/${group}${resource.plural}/${namespace}/${name}, ` +
      "ResourceVersion: 0, AdditionalErrorMsg: " +
      `Precondition failed: UID in precondition: ${wanted}, UID in object meta: ${found}`,
  );
}

/** 409: a delete is bound to what the object is not any more. These messages name the kind, not the resource. */
export function failedPrecondition(resource: Resource, name: string, why: string): ApiError {
  const { group, kind } = resource;
  const subject = group === "" ? kind : `${kind}.${group}`;
  const message = `Operation cannot be fulfilled on ${subject} "${name}": ${why}`;
  return new ApiError(409, "Conflict", message, { name, ...(group === "" ? {} : { group }), kind });
}

/** 409: the request is about an older version. */
export function modified(resource: Resource, name: string): ApiError {
  return conflict(
    resource,
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );
}

/** 422: one field is wrong. `kind` and `group` are those of the object in the request. */
export function invalid(
  kind: string,
  group: string,
  name: string,
  field: string,
  fault: string,
  reason = "FieldValueInvalid",
): ApiError {
  const subject = group === "" ? kind : `${kind}.${group}`;
  return new ApiError(422, "Invalid", `${subject} "${name}" is invalid: ${field}: ${fault}`, {
    ...(name === "" ? {} : { name }),
    ...(group === "" ? {} : { group }),
    kind,
    causes: [{ reason, message: fault, field }],
  });
}

/** 400: the request makes no sense. */
export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

/** 401: nobody knows who asks. */
export function unauthorized(): ApiError {
  return new ApiError(401, "Unauthorized", "Unauthorized");
}

/** 403: this user may not do that. */
export function forbidden(
  user: string,
  verb: string,
  resource: Resource,
  subresource: string | undefined,
  namespace: string | undefined,
  name: string | undefined,
): ApiError {
  const path = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
  const subject = name === undefined ? qualifiedName(resource) : `${qualifiedName(resource)} "${name}"`;
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const message = `${subject} is forbidden: User "${user}" cannot ${verb} resource "${path}" ` +
    `in API group "${resource.group}" ${where}`;
  return new ApiError(403, "Forbidden", message, about(resource, name ?? ""));
}

/** 410: this version is no longer kept. */
export function expired(message: string): ApiError {
  return new ApiError(410, "Expired", message);
}

/** 415: this kind of body is not known here. */
export function unsupportedMediaType(): ApiError {
  return new ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {});
}

/** 504: the client knows a version that this server has not reached. */
export function tooLargeVersion(wanted: number, current: number): ApiError {
  return new ApiError(504, "Timeout", `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1,
  });
}

/** The reason that kube-apiserver gives for an HTTP status that came from elsewhere. */
export function reasonOf(code: number): string {
  const reasons: Record<number, string> = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
  };
  return reasons[code] ?? "Unknown";
}
