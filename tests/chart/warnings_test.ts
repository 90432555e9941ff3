/**
 * Values that may be meant, but cost builds or money, are warned of in the notes after an install, and only they.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Helm } from "./helm.ts";

const helm = await Helm.of("helm");

/** The warnings, each on one line. */
async function warnings(values: unknown): Promise<string[]> {
  const notes = await helm.notes(values);
  return notes.split("\n\n").filter((part) => part.startsWith("WARNING: "))
    .map((part) => part.trim().replaceAll("\n", " "));
}

/** TLS at the autoscaler that asks clients for a certificate. */
const MUTUAL = { tls: { enabled: true, secretName: "a", clientCa: { secretName: "clients" } } };

/** Values that draw one warning, and what it says. */
const WARNED: readonly (readonly [string, unknown, RegExp])[] = [
  ["no proxy", { autoscaler: { replicaCount: 0 } }, /autoscaler\.replicaCount is 0: no proxy accepts/],
  ["no drain", { buildkitd: { drain: { enabled: false } } }, /buildkitd\.drain\.enabled is false: .* cuts/],
  [
    "a proxy that is killed before its drain ends",
    { autoscaler: { terminationGracePeriodSeconds: 30 } },
    /autoscaler\.terminationGracePeriodSeconds is 30, and shutdownDelay and drainTimeout may take 3605 s: .*Want at least 3605, or null/,
  ],
  [
    "a token that a drain may outlast",
    { autoscaler: { serviceAccount: { tokenExpirationSeconds: 19674 } } },
    /tokenExpirationSeconds is 19674: .*not at all while the pod terminates.*Want at least 19675, or null/,
  ],
  [
    "a builder that is killed before its drain ends",
    { buildkitd: { terminationGracePeriodSeconds: 1799, drain: { timeout: "30m" } } },
    /buildkitd\.terminationGracePeriodSeconds is 1799, and buildkitd\.drain\.timeout is 1800 s: .*Want at least 1800/,
  ],
  [
    "a load balancer for everybody",
    { autoscaler: { service: { type: "LoadBalancer" }, autoscalerConfig: { wakeOn: "data" } } },
    /reaches the load balancer can run builds\. Restrict access by autoscaler\.service\.loadBalancerSourceRanges, or by networkPolicy/,
  ],
  [
    "a node port for everybody",
    { autoscaler: { service: { type: "NodePort" }, autoscalerConfig: { wakeOn: "data" } } },
    /of type NodePort\. Restrict access by networkPolicy\.enabled with networkPolicy\.clients, or by the firewall/,
  ],
  [
    "a load balancer whose check counts as a client",
    { autoscaler: { service: { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/8"] } } },
    /checks the Service's port by TCP counts as a client.*wakeOn to "data", or .*externalTrafficPolicy to "Local"/,
  ],
  [
    "a node port whose check may count as a client",
    {
      autoscaler: { service: { type: "NodePort", externalTrafficPolicy: "Local" } },
      networkPolicy: { enabled: true, clients: [{ podSelector: {} }] },
    },
    /checks the Service's port by TCP counts as a client.*wakeOn to "data"\.$/,
  ],
  [
    "a plain port beside one that asks for certificates",
    { autoscaler: MUTUAL },
    /plain port of the Service ci-\S+-autoscaler \(tcp:\/\/\S+:8372\) .* asks for no certificate: .* networkPolicy\.enabled with networkPolicy\.clients; /,
  ],
  [
    "a policy that lets everybody to the plain port",
    { autoscaler: MUTUAL, networkPolicy: { enabled: true, tlsClients: [{ podSelector: {} }] } },
    /plain port .* asks for no certificate/,
  ],
  [
    "the only builder that is cordoned",
    { buildkitd: { cordoned: ["ci-buildkitd-stack-buildkitd"] } },
    /WARNING: all builders are cordoned: every build waits until its time-out, .* out of buildkitd\.cordoned\./,
  ],
  [
    "a default pool that is cordoned",
    {
      buildkitd: { fullnameOverride: "b", builders: 2, cordoned: ["b-b2", "b", "b-x"] },
      pools: { x: { buildkitd: { builders: 2 } } },
    },
    /all builders of the default pool are cordoned: every build for it waits/,
  ],
  [
    "another pool that is cordoned",
    { buildkitd: { fullnameOverride: "b", cordoned: ["b-x"] }, pools: { x: null, y: {} } },
    /all builders of pool x are cordoned: every build for it waits/,
  ],
];

for (const [what, values, message] of WARNED) {
  Deno.test(`chart: ${what} draws one warning`, async () => {
    const found = await warnings(values);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0]!, message);
  });
}

const SILENT: readonly (readonly [string, unknown])[] = [
  ["a builder that is cordoned beside another one", {
    buildkitd: { fullnameOverride: "b", builders: 2, cordoned: ["b"] },
  }],
  ["a plain port for some", {
    autoscaler: MUTUAL,
    networkPolicy: { enabled: true, clients: [{ podSelector: { matchLabels: { builds: "true" } } }] },
  }],
  ["a token that is just long enough", { autoscaler: { serviceAccount: { tokenExpirationSeconds: 19675 } } }],
  ["the defaults", {}],
  ["grace periods that are just enough", {
    autoscaler: { terminationGracePeriodSeconds: 3605 },
    buildkitd: { terminationGracePeriodSeconds: 3600 },
  }],
  ["a builder without drain that is killed at once", {
    buildkitd: { preset: "moby", terminationGracePeriodSeconds: 0, drain: { enabled: false } },
  }],
  ["enough memory", { autoscaler: { resources: { limits: { memory: "256Mi" } } } }],
  ["memory in another unit", { autoscaler: { resources: { limits: { memory: "1Gi", cpu: 1 } } } }],
  ["no resources", { autoscaler: { resources: null } }],
  ["a load balancer for some, with a check of its own", {
    autoscaler: {
      service: {
        type: "LoadBalancer",
        loadBalancerSourceRanges: ["10.0.0.0/8"],
        externalTrafficPolicy: "Local",
      },
    },
  }],
];

for (const [what, values] of SILENT) {
  Deno.test(`chart: of ${what} nobody is warned`, async () => {
    assert.deepEqual(await warnings(values), []);
  });
}
