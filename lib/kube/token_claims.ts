/**
 * Reads the claims of a service account's token: its pod and its lifetime. The token is not verified, because it is the
 * program's own. Pure.
 * Source:
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims
 *
 * @module
 */

/** When a token is valid, in wall ms since the epoch, by the clock of the API server. */
export interface TokenTimes {
  /** When it was issued. */
  readonly issuedMs: number;
  /** When it expires. */
  readonly expiresMs: number;
}

/** The claims of a token; all undefined for another kind of token. */
export interface TokenClaims {
  /** The uid of its pod. */
  readonly podUid: string | undefined;
  /** Its lifetime. */
  readonly times: TokenTimes | undefined;
}

/** Reads a JSON Web Token (RFC 7519). */
export function readClaims(token: string): TokenClaims {
  try {
    const claims = JSON.parse(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")));
    const uid = claims["kubernetes.io"]?.pod?.uid;
    const [issuedMs, expiresMs] = [claims.iat * 1000, claims.exp * 1000];
    return {
      podUid: typeof uid === "string" ? uid : undefined,
      times: Number.isFinite(issuedMs) && Number.isFinite(expiresMs) ? { issuedMs, expiresMs } : undefined,
    };
  } catch {
    return { podUid: undefined, times: undefined }; // an older cluster's token, or one made by hand
  }
}
