/**
 * Names of projects as clients dial them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { projectOf } from "../../../lib/route/project.ts";

const SCOPE = { namespace: "ci", clusterDomain: "cluster.local" };

function assertProjects(names: readonly string[], project: string | undefined): void {
  for (const name of names) assert.equal(projectOf(name, SCOPE), project, name);
}

Deno.test("projectOf() takes all names of a Service for one project", () => {
  assertProjects([
    "team-a",
    "team-a:8372",
    "team-a.",
    "team-a.:8372",
    "Team-A",
    "team-a.ci",
    "team-a.ci:1",
    "team-a.ci.svc",
    "team-a.ci.svc:8372",
    "team-a.ci.svc.",
    "team-a.ci.svc.cluster.local",
    "TEAM-A.ci.SVC.Cluster.Local.:8372",
    "team-a:",
  ], "team-a.ci");
});

Deno.test("projectOf() keeps other namespaces, other domains and names outside of the cluster apart", () => {
  assertProjects(["team-a.prod", "team-a.prod.svc.cluster.local"], "team-a.prod");
  assertProjects(["build.example.com:443"], "build.example.com");
  assertProjects(["team-a.ci.svc.example.com"], "team-a.ci.svc.example.com");
  assertProjects(["team-a.cluster.local"], "team-a.cluster.local");
  assertProjects(["team-a.localhost"], "team-a.localhost");
  assertProjects(["svc.cluster.local"], "svc.cluster.local");
});

Deno.test("projectOf() takes one suffix off, and the longest", () => {
  assertProjects(["team-a.svc.svc.cluster.local"], "team-a.svc");
  assertProjects(["team-a.svc.svc"], "team-a.svc");
  assertProjects(["team-a.svc"], "team-a.ci");
});

Deno.test("projectOf() knows the cluster's domain in any case", () => {
  const scope = { namespace: "ci", clusterDomain: "K8s.Example" };
  assert.equal(projectOf("team-a.prod.svc.k8s.example", scope), "team-a.prod");
  assert.equal(projectOf("team-a.prod.svc.cluster.local", scope), "team-a.prod.svc.cluster.local");
});

Deno.test("projectOf() has no project for addresses, localhost and what is no DNS name", () => {
  assertProjects([
    "",
    ":8372",
    ".",
    "..",
    "10.0.0.1",
    "10.0.0.1:8372",
    "10.0.0.1.",
    "::1",
    "[::1]",
    "[::1]:8372",
    "2001:db8::1",
    "fe80::1%eth0",
    "localhost",
    "localhost:8372",
    "LOCALHOST.",
    "user@team-a",
    "team a",
    "team-a/b",
    "team-a\0",
    "team-ä",
    // The Kelvin sign becomes a k in lower case.
    "\u212Aube",
    "%2Frun%2Fbuildkitd.sock",
    "a..b",
    ".a",
    "a..",
    "*.example.com",
    "team-a:8372:8372",
    "team-a:http",
    "team-a\n",
  ], undefined);
});

Deno.test("projectOf() has no project for names and labels that are longer than DNS allows", () => {
  const label = "a".repeat(63);
  const longest = [label, label, label, "a".repeat(61)].join(".");
  assert.equal(longest.length, 253);
  assertProjects([longest, `${longest}.:8372`], longest);
  assertProjects([`${longest}a`, `${label}a`, `${label}a.ci`], undefined);
  assertProjects([`${label}.ci`], `${label}.ci`);
});

Deno.test("projectOf() takes underscores and leading digits, which names of hosts have", () => {
  assertProjects(["team_a"], "team_a.ci");
  assertProjects(["1.2.3"], "1.2.3");
  assertProjects(["8372"], "8372.ci");
});
