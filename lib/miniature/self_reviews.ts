/**
 * What the API server tells a caller about itself: who it is, and what it may do. Nothing is stored. Any caller may ask.
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
 *
 * @module
 */
import type { HttpRequest } from "../kube/http.ts";
import type { Access } from "./access.ts";
import type { JsonObject } from "./json.ts";
import { PODS, type Resource, RESOURCES } from "./objects.ts";
import type { Verb } from "./request_info.ts";
import { ApiError } from "./status.ts";

const ABOUT_USER = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const ABOUT_RIGHTS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

interface AccessReview {
  readonly spec: {
    readonly resourceAttributes: {
      readonly namespace?: string;
      readonly verb: Verb;
      readonly group: string;
      readonly resource: string;
      readonly subresource?: string;
      readonly name?: string;
    };
  };
}

/** The answer to a request for a review, or undefined if the request is for something else. */
export function reviewOf(
  { method, url, body }: HttpRequest,
  user: string,
  access: Access,
): JsonObject | undefined {
  if (method !== "POST") return undefined;
  const asked: JsonObject = JSON.parse(body ?? "{}");
  if (url.pathname === ABOUT_USER) return { ...asked, status: { userInfo: { username: user } } };
  if (url.pathname !== ABOUT_RIGHTS) return undefined;
  return { ...asked, status: { allowed: allows(asked as unknown as AccessReview, user, access) } };
}

function allows(
  { spec: { resourceAttributes: asked } }: AccessReview,
  user: string,
  access: Access,
): boolean {
  const { verb, group, resource: plural, subresource, namespace, name } = asked;
  // Rules may be about resources that the server does not have.
  const resource: Resource = RESOURCES.find((each) => each.plural === plural && each.group === group) ??
    { ...PODS, group, plural };
  try {
    access.authorize(user, { verb, resource, subresource, namespace, name });
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}
