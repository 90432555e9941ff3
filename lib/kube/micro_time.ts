/**
 * Kubernetes' `MicroTime`, with exactly six digits after the second: kube-apiserver refuses other numbers of them.
 *
 * @module
 */

/** A wall time in ms since the epoch as a `MicroTime`. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
