/**
 * What Pod Security says of pods. The end-to-end suite compares the judgements with those of a real API server.
 *
 * @module
 */
import assert from "node:assert/strict";
import { podSecurityFinding, violationsOf } from "../../../lib/check/pod_security.ts";
import type { PodTemplate } from "../../../lib/kube/types.ts";
import { absent, found, unread } from "./builders.ts";

function template(
  container: object,
  pod: object = {},
  annotations: Record<string, string> = {},
): PodTemplate {
  return {
    metadata: { annotations },
    spec: { containers: [{ name: "a", image: "a", ...container }], ...pod },
  };
}

const context = (securityContext: object) => ({ securityContext });
const RESTRICTED = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
  capabilities: { drop: ["ALL"] },
};

Deno.test("violationsOf() finds what baseline forbids, and nothing in a plain pod", () => {
  assert.deepEqual(violationsOf(template({}), "baseline"), []);
  const cases: readonly (readonly [PodTemplate, string])[] = [
    [template(context({ privileged: true })), "a privileged container"],
    [template({}, { hostNetwork: true }), "hostNetwork"],
    [template({}, { hostPID: true }), "hostPID"],
    [template({}, { hostIPC: true }), "hostIPC"],
    [template({}, { volumes: [{ name: "a", hostPath: { path: "/" } }] }), "a hostPath volume"],
    [template({ ports: [{ containerPort: 1, hostPort: 2 }] }), "a hostPort"],
    [template(context({ capabilities: { add: ["CHOWN", "SYS_ADMIN"] } })), "the capability SYS_ADMIN"],
    [template(context({ procMount: "Unmasked" })), "procMount Unmasked"],
    [template(context({ seccompProfile: { type: "Unconfined" } })), "a seccomp profile Unconfined"],
    [template({}, context({ seccompProfile: { type: "Unconfined" } })), "a seccomp profile Unconfined"],
    [template(context({ appArmorProfile: { type: "Unconfined" } })), "an AppArmor profile unconfined"],
    [
      template({}, {}, { "container.apparmor.security.beta.kubernetes.io/a": "unconfined" }),
      "an AppArmor profile unconfined",
    ],
    [template(context({ seLinuxOptions: { type: "spc_t" } })), "SELinux options of its own"],
    [template(context({ seLinuxOptions: { user: "u" } })), "SELinux options of its own"],
    [template(context({ windowsOptions: { hostProcess: true } })), "a HostProcess container"],
    [template({}, context({ sysctls: [{ name: "kernel.msgmax", value: "1" }] })), "the sysctl kernel.msgmax"],
    [
      template({}, { initContainers: [{ name: "i", ...context({ privileged: true }) }] }),
      "a privileged container",
    ],
  ];
  for (const [pod, violation] of cases) {
    assert.deepEqual(violationsOf(pod, "baseline"), [violation]);
    assert.deepEqual(violationsOf(pod, "privileged"), []);
    assert.ok(violationsOf(pod, "restricted").includes(violation));
  }
  const twice = [{ name: "a", ...context({ privileged: true }) }, {
    name: "b",
    ...context({ privileged: true }),
  }];
  assert.deepEqual(violationsOf({ spec: { containers: twice } }, "baseline"), ["a privileged container"]);
});

Deno.test("violationsOf() finds what restricted wants and is not there", () => {
  assert.deepEqual(violationsOf(template(context(RESTRICTED)), "restricted"), []);
  const without = (key: keyof typeof RESTRICTED) => template(context({ ...RESTRICTED, [key]: undefined }));
  assert.deepEqual(violationsOf(without("allowPrivilegeEscalation"), "restricted"), [
    "no allowPrivilegeEscalation: false",
  ]);
  assert.deepEqual(violationsOf(without("runAsNonRoot"), "restricted"), ["no runAsNonRoot: true"]);
  assert.deepEqual(violationsOf(without("seccompProfile"), "restricted"), ["no seccompProfile"]);
  assert.deepEqual(violationsOf(without("capabilities"), "restricted"), [
    'more capabilities than drop: ["ALL"] leaves',
  ]);
  const root = template(context({ ...RESTRICTED, runAsUser: 0 }));
  assert.deepEqual(violationsOf(root, "restricted"), ["runAsUser: 0"]);
  const nfs = template(context(RESTRICTED), {
    volumes: [{ name: "a", nfs: {} }, { name: "b", emptyDir: {} }],
  });
  assert.deepEqual(violationsOf(nfs, "restricted"), ["a volume of type nfs"]);
  const byPod = context({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
  const { allowPrivilegeEscalation, capabilities } = RESTRICTED;
  const own = context({ allowPrivilegeEscalation, capabilities });
  assert.deepEqual(violationsOf(template(own, byPod), "restricted"), []);
  assert.deepEqual(violationsOf({}, "restricted"), []);
});

Deno.test("podSecurityFinding() sets the pods against the label of the namespace", () => {
  const of = (level: string | undefined, pod: PodTemplate | undefined) => {
    const labels = level === undefined ? {} : { "pod-security.kubernetes.io/enforce": level };
    return podSecurityFinding("builder", "ci", found({ metadata: { labels } }), pod);
  };
  const privileged = template(context({ privileged: true }));
  assert.equal(of(undefined, privileged).result, "ok");
  assert.equal(of("privileged", privileged).result, "ok");
  const refused = of("baseline", privileged);
  assert.equal(refused.result, "failed");
  assert.equal(
    refused.found,
    'the namespace enforces "baseline", and its pods have a privileged container: they are refused',
  );
  assert.equal(
    refused.fix,
    "kubectl label namespace ci pod-security.kubernetes.io/enforce=privileged --overwrite # for all its pods",
  );
  assert.equal(of("baseline", undefined).result, "unchecked");
  for (const read of [unread, absent]) {
    assert.equal(podSecurityFinding("builder", "ci", read, privileged).result, "unchecked");
  }
});
