/**
 * What a service account's token says of itself: the pod that it was issued for, and its lifetime. The token is only
 * read, not verified: it tells the program about itself. Pure.
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims
 *
 * @module
 */

/** From when to when a token is valid, in wall ms since the epoch, by the clock of the API server. */
export interface TokenTimes {
  /** When it was issued. */
  readonly issuedMs: number;
  /** From then on the API server refuses it. */
  readonly expiresMs: number;
}

/** What a token says; all undefined for one of another kind. */
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
