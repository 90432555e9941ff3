/**
 * Values that cannot be right are refused by both helms before anything is installed, with a message that names the
 * value and what is wanted.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import { CHART, Helm } from "./helm.ts";

const HELMS = [await Helm.of("helm"), await Helm.of("helm3")];

const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
  [
    "a mistyped setting",
    { autoscaler: { autoscalerConfig: { idleTimeout: "5m" } } },
    /at '\/autoscaler\/autoscalerConfig': additional properties 'idleTimeout' not allowed/,
  ],
  ["a value that nobody reads", { replicas: 2 }, /additional properties 'replicas' not allowed/],
  [
    "a duration without a unit",
    { autoscaler: { autoscalerConfig: { scaleDownIdleTimeout: 120 } } },
    /scaleDownIdleTimeout': got number, want string/,
  ],
  [
    "a duration in words",
    { autoscaler: { autoscalerConfig: { readyWaitTimeout: "2 minutes" } } },
    /readyWaitTimeout': '2 minutes' does not match pattern '.*\(ns\|us\|ms\|s\|m\|h\)/,
  ],
  [
    "an address without a port",
    { autoscaler: { autoscalerConfig: { proxyListenAddr: "8372" } } },
    /proxyListenAddr': '8372' does not match pattern/,
  ],
  [
    "a number out of bounds",
    { autoscaler: { autoscalerConfig: { minReplicas: 32001 } } },
    /minReplicas': maximum: got 32[,.]?001, want 32[,.]?000/,
  ],
  ["a text for a number", { autoscaler: { replicaCount: "two" } }, /replicaCount': got string, want integer/],
  [
    "an unknown preset",
    { buildkitd: { preset: "docker" } },
    /preset': value must be one of 'earthly', 'earthbuild', 'moby', 'moby-rootless'/,
  ],
  [
    "an annotation that is no text",
    { buildkitd: { podAnnotations: { "sidecar.istio.io/inject": false } } },
    /podAnnotations\/sidecar\.istio\.io~1inject': got boolean, want string/,
  ],
  [
    "a size in words",
    { buildkitd: { persistence: { size: "50GB" } } },
    /size': '50GB' does not match pattern/,
  ],
  [
    "TLS without a certificate",
    { autoscaler: { tls: { enabled: true } } },
    /autoscaler\.tls\.enabled is true, and there is no certificate: name a Secret by autoscaler\.tls\.secretName/,
  ],
  [
    "a Certificate for clients without an issuer",
    { autoscaler: { tls: { enabled: true, certManager: { create: true } } } },
    /autoscaler\.tls\.certManager\.create is true, and autoscaler\.tls\.certManager\.issuerRef names no issuer/,
  ],
  [
    "names of clients without a CA",
    { autoscaler: { tls: { enabled: true, secretName: "a", clientNames: ["ci"] } } },
    /autoscaler\.tls\.clientNames is given, and autoscaler\.tls\.clientCa\.secretName is empty/,
  ],
  [
    "a CA of clients without TLS",
    { autoscaler: { tls: { clientCa: { secretName: "clients" } } } },
    /found 1 problem .*\n.*autoscaler\.tls\.clientCa\.secretName is given, and autoscaler\.tls\.enabled is false, so .* asks for no certificate: want true/,
  ],
  [
    "names of clients without TLS",
    { autoscaler: { tls: { clientNames: ["ci"] } } },
    /found 1 problem .*\n.*autoscaler\.tls\.clientNames is given, and autoscaler\.tls\.enabled is false/,
  ],
  [
    "two names of clients in one",
    { autoscaler: { tls: { clientNames: ["a,b"] } } },
    /clientNames\/0': 'a,b' does not match pattern/,
  ],
  [
    "TLS on the plain port",
    { autoscaler: { tls: { enabled: true, secretName: "a", containerPort: 8372 } } },
    /tls\.containerPort and autoscaler\.autoscalerConfig\.proxyListenAddr have the same port 8372/,
  ],
  [
    "source ranges of a Service that is no load balancer",
    { autoscaler: { tls: { service: { loadBalancerSourceRanges: ["10.0.0.0/8"] } } } },
    /autoscaler\.tls\.service\.loadBalancerSourceRanges is given, and autoscaler\.tls\.service\.type is "ClusterIP"/,
  ],
  [
    "a network that is none",
    { autoscaler: { proxyProtocol: { from: ["10.0.0.0"] } } },
    /proxyProtocol\/from\/0': '10\.0\.0\.0' does not match pattern/,
  ],
  ...["10.0.0.0/33", "10.0.0.256/32", "010.0.0.0/8", "fd00::/129"].map((network) =>
    [
      `the network ${network}`,
      { autoscaler: { proxyProtocol: { from: [network] } } },
      /proxyProtocol\/from\/0': '.*' does not match pattern/,
    ] as const
  ),
  ...["Mon 9-5=1", "Mon-Fri 07:00-19:00=1", "Mon 07:00-19:00 UTC=1; ", "Someday 07:00-19:00 UTC=1"].map((
    warm,
  ) =>
    [
      `the warm window ${warm}`,
      { autoscaler: { autoscalerConfig: { warm } } },
      /found 1 problem .*\n.*warm has ".*": want windows with semicolons between, such as "Mon-Fri 07:00-19:00 Europe/,
    ] as const
  ),
  [
    "a warm window of a pool that is not there",
    { autoscaler: { autoscalerConfig: { warm: "Mon 9:00-17:00 UTC=1; arm64/Mon 9:00-17:00 UTC=1" } } },
    /found 1 problem .*\n.*warm has "arm64\/Mon 9:00-17:00 UTC=1", and there is no pool "arm64"/,
  ],
  [
    "a pool's warm window that is none",
    { pools: { arm64: { warm: "9-5" } } },
    /found 1 problem .*\n.*warm has "9-5" in pool "arm64": want windows/,
  ],
  [
    "TLS to buildkitd without a certificate",
    { autoscaler: { tls: { upstream: { enabled: true } } } },
    /tls\.upstream\.enabled is true, and there is no certificate: name a Secret by autoscaler\.tls\.upstream\.secretName/,
  ],
  [
    "a Certificate without an issuer",
    { autoscaler: { tls: { upstream: { enabled: true, certManager: { create: true } } } } },
    /certManager\.create is true, and autoscaler\.tls\.upstream\.certManager\.issuerRef names no issuer/,
  ],
  [
    "TLS to buildkitd by two values",
    {
      autoscaler: { tls: { upstream: { enabled: true, secretName: "a" } } },
      buildkitd: { extraArgs: ["--tlscert=/a"] },
    },
    /upstream\.enabled is true, and buildkitd\.extraArgs gives buildkitd a certificate, too: want one of them/,
  ],
  [
    "a laptop role for nobody",
    { laptopRole: { create: true } },
    /laptopRole\.group is empty: name the group/,
  ],
  [
    "a laptop role without Leases",
    { laptopRole: { create: true, group: "team" }, autoscaler: { rbac: { leases: false } } },
    /laptopRole\.create is true, and autoscaler\.rbac\.leases is false: a program on somebody's machine is one more/,
  ],
  ["no list of variables", { autoscaler: { extraEnv: { A: "b" } } }, /extraEnv': got object, want array/],
  [
    "a variable without a name",
    { buildkitd: { extraEnvVars: [{ value: "b" }] } },
    /extraEnvVars\/0': missing property 'name'/,
  ],
  [
    "a token that Kubernetes refuses",
    { autoscaler: { serviceAccount: { tokenExpirationSeconds: 599 } } },
    /tokenExpirationSeconds': minimum: got 599, want 600/,
  ],
  [
    "several replicas without the rights to Leases",
    { autoscaler: { replicaCount: 2, rbac: { leases: false } } },
    /autoscaler\.replicaCount is 2, and autoscaler\.rbac\.leases is false: .*Allow them, or run one replica/,
  ],
  [
    "a namespace that has no name",
    { autoscaler: { namespace: { create: true } } },
    /neither autoscaler\.namespaceOverride nor autoscaler\.separateNamespace names a namespace: name one, or let helm make .* with --create-namespace/,
  ],
  [
    "the release's own namespace",
    { autoscaler: { namespaceOverride: "builds", namespace: { create: true } } },
    /is true for "builds", which is the release's namespace/,
  ],
  [
    "the release's own namespace for the autoscaler alone",
    { autoscaler: { separateNamespace: "builds", namespace: { create: true } } },
    /is true for "builds", which is the release's namespace/,
  ],
  [
    "an address that nobody can reach",
    { autoscaler: { autoscalerConfig: { adminAddr: "127.0.0.1:8081" } } },
    /adminAddr is "127\.0\.0\.1:8081", which nothing outside the pod can reach: want an address such as ":8081"/,
  ],
  [
    "one port for two listeners",
    { autoscaler: { autoscalerConfig: { proxyListenAddr: ":8081" } } },
    /proxyListenAddr and adminAddr have the same port 8081: want different ones/,
  ],
  [
    "the upstream image with the preset of another one",
    { buildkitd: { image: { repository: "mirror.example.com/moby/buildkit" } } },
    /buildkitd\.preset is "earthly": want preset "moby"/,
  ],
  [
    "EarthBuild's image with the preset of Earthly's",
    { buildkitd: { image: { repository: "mirror.example.com/earthbuild/earthbuild", tag: "buildkitd-v1" } } },
    /"mirror\.example\.com\/earthbuild\/earthbuild", and buildkitd\.preset is "earthly".*: want preset "earthbuild"/,
  ],
  [
    "clients that no policy lets in",
    { networkPolicy: { clients: [{ podSelector: {} }] } },
    /networkPolicy\.clients is given, and networkPolicy\.enabled is false, so everybody may connect: want true/,
  ],
  [
    "scrapers that no policy lets in",
    { networkPolicy: { metricsClients: [{ podSelector: {} }] } },
    /networkPolicy\.metricsClients is given, and networkPolicy\.enabled is false.*: want true/,
  ],
  [
    "a wait of no time",
    { autoscaler: { autoscalerConfig: { readyWaitTimeout: "0s" } } },
    /autoscaler\.autoscalerConfig\.readyWaitTimeout is "0s": want a duration from 1ms to 8760h0m0s/,
  ],
  [
    "an expiry of seconds",
    { autoscaler: { autoscalerConfig: { recordExpiry: "9.999999999s" } } },
    /recordExpiry is "9\.999999999s": want a duration from 10s to 8760h0m0s/,
  ],
  [
    "a duration of years",
    { autoscaler: { autoscalerConfig: { scaleDownIdleTimeout: "8760h0m1s" } } },
    /scaleDownIdleTimeout is "8760h0m1s": want a duration from 0s to 8760h0m0s/,
  ],
  [
    "a leader that leads on while another one does",
    { autoscaler: { autoscalerConfig: { leaseDuration: "10s" } } },
    /renewDeadline is "10s", and leaseDuration is "10s": want the second longer than the first/,
  ],
  [
    "a leader that gives up before it tries again",
    { autoscaler: { autoscalerConfig: { renewDeadline: "12s", retryPeriod: "10s" } } },
    /retryPeriod is "10s", and renewDeadline is "12s": want the second longer than 1\.2 times the first/,
  ],
  [
    "a flag that a variable overrides",
    { autoscaler: { extraArgs: ["--idle-timeout=10m"] } },
    /extraArgs has "--idle-timeout=10m", which .* autoscaler\.autoscalerConfig\.scaleDownIdleTimeout overrides: set that value/,
  ],
  [
    "a flag that a variable overrides, with its text behind it",
    { autoscaler: { extraArgs: ["--log-level", "warn"] } },
    /extraArgs has "--log-level", which .* autoscaler\.autoscalerConfig\.logLevel overrides: set that value/,
  ],
  [
    "a flag that the chart sets",
    { autoscaler: { extraArgs: ["--sts-name=other"] } },
    /extraArgs has "--sts-name=other", which the chart sets itself, by a variable that overrides it: leave it out/,
  ],
  [
    "a load balancer's clients without one",
    { autoscaler: { service: { type: "NodePort", loadBalancerSourceRanges: ["10.0.0.0/8"] } } },
    /loadBalancerSourceRanges is given, and autoscaler\.service\.type is "NodePort": want type "LoadBalancer", or leave it out/,
  ],
  [
    "a load balancer's class without one",
    { autoscaler: { service: { loadBalancerClass: "internal" } } },
    /loadBalancerClass is given, and autoscaler\.service\.type is "ClusterIP": want type "LoadBalancer", or/,
  ],
  [
    "a traffic policy without traffic from outside",
    { autoscaler: { service: { externalTrafficPolicy: "Local" } } },
    /externalTrafficPolicy is given, and .*"ClusterIP": want type "NodePort" or "LoadBalancer", or leave it out/,
  ],
  [
    "a node's port inside the cluster",
    { autoscaler: { service: { nodePort: 30372 } } },
    /nodePort is given, and .*"ClusterIP": want type "NodePort" or "LoadBalancer", or leave it out/,
  ],
  [
    "an address for a network",
    { autoscaler: { service: { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.1"] } } },
    /loadBalancerSourceRanges\/0': '10\.0\.0\.1' does not match pattern/,
  ],
  [
    "one name for two things",
    { autoscaler: { fullnameOverride: "buildkitd" }, buildkitd: { fullnameOverride: "buildkitd" } },
    /names of autoscaler and buildkitd, .*, are both "buildkitd": want different ones in one namespace/,
  ],
  [
    "a target beside the builder of the chart",
    { autoscaler: { target: { statefulSet: "buildkitd" } } },
    /autoscaler\.target\.statefulSet is given, and buildkitd\.enabled is true: .*Want buildkitd\.enabled false, or leave/,
  ],
  [
    "no builder and no target",
    { buildkitd: { enabled: false } },
    /found 2 problems in the values:\n.*target\.statefulSet is empty.*\n.*target\.headlessService is empty, and buildkitd\.enabled is false: name what/,
  ],
  [
    "a claim without persistence",
    { buildkitd: { persistence: { enabled: false, existingClaim: "cache" } } },
    /existingClaim is given, and buildkitd\.persistence\.enabled is false: want true/,
  ],
  [
    "a health check in plain text of a buildkitd with TLS",
    {
      autoscaler: { autoscalerConfig: { readiness: "grpc" } },
      buildkitd: { extraArgs: ["--tlscert=/tls/tls.crt", "--tlskey=/tls/tls.key"] },
    },
    /readiness is "grpc", and buildkitd speaks TLS by buildkitd\.extraArgs: the health check is plain gRPC, so no pod would ever take a client\. Want "auto" or "pod"/,
  ],
  [
    "such a health check, with TLS by a variable",
    {
      autoscaler: { autoscalerConfig: { readiness: "grpc" } },
      buildkitd: { extraEnvVars: [{ name: "BUILDKIT_TLS_ENABLED", value: "true" }] },
    },
    /readiness is "grpc", and buildkitd speaks TLS by buildkitd\.extraEnvVars: /,
  ],
  [
    "alerts without what they are about",
    { autoscaler: { metrics: { prometheusRule: { enabled: true } } } },
    /serviceMonitor\.enabled and autoscaler\.metrics\.podMonitor\.enabled are false: .*Enable one of them, too/,
  ],
  [
    "two monitors",
    { autoscaler: { metrics: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } } } },
    /serviceMonitor\.enabled and autoscaler\.metrics\.podMonitor\.enabled are true: .*Enable one of them/,
  ],
  [
    "a limit to what the autoscaler connects to, without policies",
    { networkPolicy: { egress: { enabled: true } } },
    /networkPolicy\.egress\.enabled is true, and networkPolicy\.enabled is false: want both/,
  ],
  [
    "an image whose registry was an empty variable",
    { autoscaler: { image: { repository: "/buildkitd-autoscaler" } } },
    /autoscaler\.image\.repository is "\/buildkitd-autoscaler", and .* is missing: is a variable .* not set\?/,
  ],
  [
    "an image without a name",
    { autoscaler: { image: { repository: "" } } },
    /autoscaler\.image\.repository is empty: name the image/,
  ],
  [
    "an image with its tag in the name",
    { buildkitd: { image: { repository: "registry.example.com:5000/buildkitd:v1" } } },
    /buildkitd\.image\.repository is .*: want the name alone, and the rest in buildkitd\.image\.tag or/,
  ],
  [
    "a flag that a variable of extraEnv overrides",
    {
      autoscaler: {
        extraArgs: ["--context=staging"],
        extraEnv: [{ name: "AUTOSCALER_CONTEXT", value: "production" }],
      },
    },
    /extraArgs has "--context=staging", which the variable AUTOSCALER_CONTEXT of autoscaler\.extraEnv overrides: want only one/,
  ],
  [
    "a flag that a variable of the Go program overrides",
    {
      autoscaler: {
        autoscalerConfig: { scaleDownIdleTimeout: null },
        extraArgs: ["--idle-timeout", "1m"],
        extraEnv: [{
          name: "SCALE_DOWN_IDLE_TIMEOUT",
          valueFrom: { configMapKeyRef: { name: "a", key: "b" } },
        }],
      },
    },
    /extraArgs has "--idle-timeout", which the variable SCALE_DOWN_IDLE_TIMEOUT of autoscaler\.extraEnv overrides/,
  ],
];

for (const [what, values, message] of REFUSED) {
  Deno.test(`chart: ${what} is refused`, async () => {
    for (const helm of HELMS) await assert.rejects(helm.template(values), message);
  });
}

Deno.test("chart: all problems of the values are reported together", async () => {
  const values = { autoscaler: { replicaCount: 2, rbac: { leases: false }, namespace: { create: true } } };
  for (const helm of HELMS) {
    await assert.rejects(
      helm.template(values),
      /found 2 problems in the values:\n .*replicaCount.*\n .*namespace/,
    );
  }
});

Deno.test("chart: a cluster that is too old is refused", async () => {
  for (const helm of HELMS) {
    const { success, stderr } = await helm.run("template", "ci", CHART, "--kube-version", "1.29.9");
    assert.ok(!success);
    assert.match(
      stderr,
      /chart requires kubeVersion: >=1\.30\.0-0 which is incompatible with Kubernetes v1\.29\.9/,
    );
  }
});

Deno.test("chart: durations at their limits, and flags that no value sets, are taken", async () => {
  const autoscaler = {
    extraArgs: ["--context=none", "--log-level", "warn"],
    extraEnv: [{ name: "AUTOSCALER_CONTEXT", value: "" }, { name: "TZ", value: "UTC" }],
    autoscalerConfig: {
      logLevel: null,
      readyWaitTimeout: "1ms",
      scaleDownIdleTimeout: "8760h",
      recordExpiry: "10s",
      leaseDuration: "1.000000001s",
      renewDeadline: "1s",
      retryPeriod: "100ms",
    },
    service: { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/8", "fd00::/8", "::/0"] },
  };
  for (const helm of HELMS) assert.match(await helm.template({ autoscaler }), /--log-level/);
});

Deno.test("chart: of a buildkitd with TLS the pod's condition may be asked, and without TLS its health", async () => {
  for (const helm of HELMS) {
    const values = (readiness: string | null, extraArgs: string[]) => ({
      autoscaler: { autoscalerConfig: { readiness } },
      buildkitd: { extraArgs },
    });
    for (const readiness of ["auto", "pod", null]) {
      assert.match(await helm.template(values(readiness, ["--tlscert=/tls/tls.crt"])), /tlscert/);
    }
    assert.match(await helm.template(values("grpc", ["--debug"])), /AUTOSCALER_READINESS\n +value: grpc/);
  }
});

Deno.test("chart: windows and networks that the program takes are taken", async () => {
  const values = {
    autoscaler: {
      autoscalerConfig: {
        warm: "mon-Fri,SUN 7:00-24:00 Europe/Berlin = 1;arm64/Sat,Sun 22:00-02:00 Etc/GMT+5=1",
      },
      proxyProtocol: { from: ["0.0.0.0/0", "255.255.255.255/32", "::/0", "2001:db8::1/128", "fd00::/8"] },
    },
    pools: { arm64: { warm: " Sun 0:00-1:00 UTC=1 ; Mon 00:00-01:00 UTC=1" } },
  };
  assert.ok(parseSettings({
    flags: new Map(),
    variables: {
      AUTOSCALER_BUILDERS: "buildkitd,arm64/buildkitd-arm64",
      AUTOSCALER_WARM: `${values.autoscaler.autoscalerConfig.warm}; arm64/Sun 0:00-1:00 UTC=1`,
      AUTOSCALER_PROXY_PROTOCOL: "require",
      AUTOSCALER_PROXY_PROTOCOL_FROM: values.autoscaler.proxyProtocol.from.join(","),
    },
  }));
  for (const helm of HELMS) assert.match(await helm.template(values), /AUTOSCALER_WARM/);
});
