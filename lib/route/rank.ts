/**
 * The order in which a project prefers builders, by rendezvous hashing: every builder gets a score for the project, and
 * the highest score is first. All proxies compute the same order without talking to each other. A builder that is added
 * or removed moves only the projects that it wins or had won. Pure.
 *
 * @see https://en.wikipedia.org/wiki/Rendezvous_hashing
 * @module
 */
import { fnv1a } from "../base/fnv1a.ts";

/**
 * Names of StatefulSets, the project's home first. They must be distinct. A re-created StatefulSet of the same name keeps
 * its projects. Without a project: in the order given.
 */
export function rank(builders: readonly string[], project: string | undefined): readonly string[] {
  return rankBy(builders, project, (name) => name);
}

/** The same for anything that has such a name. */
export function rankBy<T>(
  builders: readonly T[],
  project: string | undefined,
  nameOf: (builder: T) => string,
): readonly T[] {
  if (project === undefined) return builders;
  const prefix = fnv1a(SEPARATOR, fnv1a(project));
  const ranked: T[] = [];
  const scores: number[] = [];
  // Inserting is twice as fast as sort() for the few builders that there are, and a plan ranks for up to 1,000 projects.
  for (const builder of builders) {
    const name = nameOf(builder);
    const score = mix(fnv1a(name, prefix));
    let at = ranked.length;
    for (; at > 0; at--) {
      const other = scores[at - 1]!;
      if (other > score || other === score && nameOf(ranked[at - 1]!) < name) break;
      scores[at] = other;
      ranked[at] = ranked[at - 1]!;
    }
    scores[at] = score;
    ranked[at] = builder;
  }
  return ranked;
}

/** Is in no name, so that no two pairs of project and builder have the same text. */
const SEPARATOR = "\0";

/**
 * The finaliser of MurmurHash3 with 32 bits. FNV-1a alone hardly lets the last bytes change the upper bits, and names of
 * builders differ in their last byte: of 10,000 projects on 20 builders, the busiest had 4.45 times its share.
 *
 * @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
function mix(hash: number): number {
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
