/**
 * Values of the Go program's chart: both names of a value count, two different values for one thing are refused, and so is
 * what only the old program could do. What a file of all of them renders is in `golden/go-program.yaml`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Helm } from "./helm.ts";

const helm = await Helm.of("helm");
const HELMS = [helm, await Helm.of("helm3")];

// deno-lint-ignore no-explicit-any -- values of any form
type Tree = any;

const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
  [
    "the image of the Go program",
    { autoscaler: { image: { repository: "ghcr.io/o8t/buildkitd-proxy", tag: "v0.1.0" } } },
    /image\.repository is "ghcr\.io\/o8t\/buildkitd-proxy", which is the image of the Go program: remove autoscaler\.image\.repository and autoscaler\.image\.tag/,
  ],
  [
    "the image of the Go program from a mirror",
    { autoscaler: { image: { repository: "mirror.example.com/o8t/buildkitd-proxy" } } },
    /which is the image of the Go program/,
  ],
  ...["64Mi", "255Mi", "0.2Gi", "268435455", 2e8].map((memory): readonly [string, unknown, RegExp] => [
    `a memory limit of ${memory}`,
    { autoscaler: { resources: { limits: { memory } } } },
    /autoscaler\.resources\.limits\.memory is .*Want at least 256Mi, or no limit/,
  ]),
  [
    "two security contexts of one container",
    {
      buildkitd: { securityContext: { privileged: true }, containerSecurityContext: { privileged: false } },
    },
    /buildkitd\.securityContext is {"privileged":true}, and buildkitd\.containerSecurityContext is {"privileged":false}: both name the same thing\. Want only one of them/,
  ],
  [
    "two lists of volumes",
    {
      buildkitd: {
        extraVolumes: [{ name: "a", emptyDir: {} }],
        volumes: [{ name: "b", emptyDir: {} }],
      },
    },
    /buildkitd\.extraVolumes is \[.*"a".*\], and buildkitd\.volumes is \[.*"b".*\]: both name the same thing/,
  ],
  [
    "two lists of mounts",
    {
      buildkitd: {
        extraVolumeMounts: [{ name: "a", mountPath: "/a" }],
        volumeMounts: [{ name: "a", mountPath: "/b" }],
      },
    },
    /buildkitd\.extraVolumeMounts is .*, and buildkitd\.volumeMounts is .*: both name the same thing/,
  ],
  [
    "two paths of the cache",
    { buildkitd: { cachePath: "/a", persistence: { mountPath: "/b" } } },
    /buildkitd\.cachePath is "\/a", and buildkitd\.persistence\.mountPath is "\/b": both name the same thing/,
  ],
  [
    "buildkitd's own Service open to the world",
    { buildkitd: { service: { type: "LoadBalancer" } } },
    /buildkitd\.service\.type is "LoadBalancer": .*type "ClusterIP" only\. .*want autoscaler\.service\.type "LoadBalancer"/,
  ],
  [
    "a target port that nothing listens on",
    { autoscaler: { service: { targetPort: 9000 } } },
    /targetPort is 9000, and autoscaler\.autoscalerConfig\.proxyListenAddr is ":8372": want the port that the program listens on/,
  ],
  [
    "the admin port as target port",
    { autoscaler: { service: { targetPort: "http-admin" } } },
    /targetPort is "http-admin", which is the name of the admin port/,
  ],
];

for (const [what, values, message] of REFUSED) {
  Deno.test(`chart: ${what} is refused`, async () => {
    for (const helm of HELMS) await assert.rejects(helm.template(values), message);
  });
}

Deno.test("chart: a value under both of its names is taken where the two are equal", async () => {
  const volumes = [{ name: "a", emptyDir: {} }];
  const mounts = [{ name: "a", mountPath: "/a" }];
  const context = { privileged: true };
  const values = {
    autoscaler: { service: { targetPort: 8372 }, resources: { limits: { memory: "1Gi", cpu: 1 } } },
    buildkitd: {
      ...{ extraVolumes: volumes, volumes, extraVolumeMounts: mounts, volumeMounts: mounts },
      ...{ securityContext: context, containerSecurityContext: context },
      ...{ cachePath: "/a", persistence: { mountPath: "/a" } },
    },
  };
  for (const helm of HELMS) assert.match(await helm.template(values), /mountPath: \/a/);
});

Deno.test("chart: namespaceOverride moves all objects, and separateNamespace the autoscaler's alone", async () => {
  const namespaces = async (autoscaler: Tree) => {
    const found = (await helm.objects({ autoscaler })).values();
    return Object.fromEntries(
      [...found].map(({ kind, metadata }) => [kind, metadata.namespace]),
    );
  };
  for (const namespace of Object.values(await namespaces({ namespaceOverride: "moved" }))) {
    assert.equal(namespace, "moved");
  }
  const apart = { Deployment: "apart", ServiceAccount: "apart" };
  for (const [override, rest] of [["", "builds"], ["moved", "moved"]] as const) {
    const { Deployment, ServiceAccount, StatefulSet, Role, RoleBinding } = await namespaces({
      namespaceOverride: override,
      separateNamespace: "apart",
    });
    assert.deepEqual({ Deployment, ServiceAccount }, apart);
    assert.deepEqual([StatefulSet, Role, RoleBinding], [rest, rest, rest]);
  }
});
