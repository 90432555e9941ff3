/**
 * Who may do what: bearer tokens and RBAC-like rules. By default everybody may do everything. Set at run time.
 *
 * @module
 */
import type { RequestInfo } from "./request_info.ts";
import { forbidden, unauthorized } from "./status.ts";

/** A rule of a Role, as RBAC has it. */
export interface PolicyRule {
  /** API groups; `""` is core. */
  readonly apiGroups: readonly string[];
  /** Resources, `<resource>/<subresource>` for a subresource. */
  readonly resources: readonly string[];
  /** Verbs. */
  readonly verbs: readonly string[];
  /** Names that it is limited to, if any. */
  readonly resourceNames?: readonly string[];
}

/** Authentication and authorisation of one API server. */
export class Access {
  /** Bearer tokens and the user of each. Empty: nobody is asked for one, and everyone is `system:anonymous`. */
  readonly tokens = new Map<string, string>();
  /** Rules by user, in any namespace. A user without an entry may do everything. */
  readonly rules = new Map<string, readonly PolicyRule[]>();
  readonly #denials = new Set<(info: RequestInfo) => boolean>();

  /** The user that asks. @throws ApiError 401 */
  authenticate(headers: Headers): string {
    if (this.tokens.size === 0) return "system:anonymous";
    const token = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
    const user = token === undefined ? undefined : this.tokens.get(token);
    if (user === undefined) throw unauthorized();
    return user;
  }

  /** Forbids these requests to everybody, whatever the rules say, until the returned function is called. */
  deny(matches: (info: RequestInfo) => boolean): () => void {
    this.#denials.add(matches);
    return () => void this.#denials.delete(matches);
  }

  /** Lets a request pass, or does not. @throws ApiError 403 when no rule allows it */
  authorize(user: string, info: RequestInfo): void {
    const { verb, resource, subresource, namespace, name } = info;
    for (const matches of this.#denials) {
      if (matches(info)) throw forbidden(user, verb, resource, subresource, namespace, name);
    }
    const rules = this.rules.get(user);
    if (rules === undefined) return;
    const path = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
    const allowed = rules.some((rule) =>
      has(rule.apiGroups, resource.group) && has(rule.resources, path) && has(rule.verbs, verb) &&
      (rule.resourceNames === undefined || (name !== undefined && rule.resourceNames.includes(name)))
    );
    if (!allowed) throw forbidden(user, verb, resource, subresource, namespace, name);
  }
}

function has(list: readonly string[], wanted: string): boolean {
  return list.includes(wanted) || list.includes("*");
}
