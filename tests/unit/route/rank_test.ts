/**
 * Rendezvous hashing: it spreads, it moves little, and it never changes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { rank, rankBy } from "../../../lib/route/rank.ts";

const BUILDERS = Array.from({ length: 20 }, (_, i) => i === 0 ? "buildkitd" : `buildkitd-b${i + 1}`);
const PROJECTS = Array.from({ length: 10_000 }, (_, i) => `project-${i}.ci`);

function homes(builders: readonly string[]): string[] {
  return PROJECTS.map((project) => rank(builders, project)[0]!);
}

Deno.test("rank() gives every builder a like number of projects", () => {
  const counts = new Map<string, number>();
  for (const home of homes(BUILDERS)) counts.set(home, (counts.get(home) ?? 0) + 1);
  const mean = PROJECTS.length / BUILDERS.length;
  assert.equal(counts.size, BUILDERS.length);
  assert.ok(Math.max(...counts.values()) / mean < 1.15, String([...counts]));
  assert.ok(Math.min(...counts.values()) / mean > 0.85, String([...counts]));
});

Deno.test("rank() spreads the projects of a builder that is gone over all others", () => {
  const counts = new Map<string, number>();
  for (const project of PROJECTS) {
    const [first, second] = rank(BUILDERS, project);
    if (first === "buildkitd") counts.set(second!, (counts.get(second!) ?? 0) + 1);
  }
  assert.equal(counts.size, BUILDERS.length - 1);
  assert.ok(Math.max(...counts.values()) < 60, String([...counts]));
});

Deno.test("rank() moves only a builder's own projects when it is added or removed", () => {
  for (const changed of ["buildkitd", "buildkitd-b7", "buildkitd-b20"]) {
    const fewer = BUILDERS.filter((name) => name !== changed);
    const before = homes(BUILDERS), after = homes(fewer);
    before.forEach((home, at) => {
      if (home === changed) assert.notEqual(after[at], changed);
      else assert.equal(after[at], home);
    });
    assert.ok(before.some((home) => home === changed));
    const project = PROJECTS[0]!;
    assert.deepEqual(rank(BUILDERS, project).filter((name) => name !== changed), rank(fewer, project));
  }
});

Deno.test("rank() does not depend on the order of builders, and returns each of them once", () => {
  for (const project of PROJECTS.slice(0, 200)) {
    const ranked = rank(BUILDERS, project);
    assert.deepEqual(rank(BUILDERS.toReversed(), project), ranked);
    assert.deepEqual([...ranked].sort(), [...BUILDERS].sort());
  }
});

Deno.test("rank() orders builders of one score by name", () => {
  // Both have the same hash after this project.
  const pair = ["b-qcpdeb", "b-16gbsea"];
  assert.deepEqual(rank(pair, "team-a.ci"), ["b-16gbsea", "b-qcpdeb"]);
  assert.deepEqual(rank(pair.toReversed(), "team-a.ci"), ["b-16gbsea", "b-qcpdeb"]);
});

Deno.test("rank() keeps names apart that are the same text together", () => {
  const longer = BUILDERS.map((name) => `x${name}`);
  assert.notDeepEqual(rank(longer, "team-").map((name) => name.slice(1)), rank(BUILDERS, "team-x"));
});

Deno.test("rank() keeps the declared order without a project", () => {
  assert.deepEqual(rank(["c", "a", "b"], undefined), ["c", "a", "b"]);
  assert.deepEqual(rank([], "team-a.ci"), []);
});

Deno.test("rank() is the same in every version: another order would leave all caches behind", () => {
  const builders = BUILDERS.slice(0, 3);
  const found = ["team-a.ci", "team-c.ci", "team-e.ci", "team-g.ci", "team-h.ci"].map((project) =>
    rank(builders, project).map((name) => BUILDERS.indexOf(name)).join("")
  );
  assert.deepEqual(found, ["021", "012", "102", "201", "120"]);
});

Deno.test("rankBy() ranks whatever has a name", () => {
  const objects = BUILDERS.map((name) => ({ name }));
  const ranked = rankBy(objects, "team-a.ci", ({ name }) => name);
  assert.deepEqual(ranked.map(({ name }) => name), rank(BUILDERS, "team-a.ci"));
  assert.ok(ranked.every((object) => objects.includes(object)));
});
