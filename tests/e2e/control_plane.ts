/**
 * A real control plane: etcd, kube-apiserver with RBAC and TLS, kube-controller-manager.
 *
 * It runs inside the suite's network namespace, so the addresses and ports below are fixed. The API server can be
 * stopped, killed and started again on the same data. Starting throws with the tail of the log that explains it.
 *
 * @module
 */

import { join } from "node:path";
import { Child } from "./child_process.ts";
import { ExternalMetrics } from "./external_metrics.ts";
import { type ApiAccess, KubeApi, kubeconfig } from "./kube_api.ts";
import { cleanUp, until } from "./waiting.ts";

/** An address of the namespace's `lo` that is no loopback address: EndpointSlices refuse those. */
export const API_ADDRESS = "10.99.0.1";
export const API_PORT = 6443;
const ETCD_URL = "http://127.0.0.1:2379";
const ETCD_PEER_URL = "http://127.0.0.1:2380";

/** Who issues service-account tokens, and whom they are for. */
const ISSUER = "https://kubernetes.default.svc";

const CONTROLLERS = [
  "statefulset-controller",
  "endpointslice-controller",
  "garbage-collector-controller",
  "serviceaccount-controller",
  "namespace-controller",
];

/** What Deployments and the service accounts of pods need beside those. */
const WORKLOAD_CONTROLLERS = [
  "deployment-controller",
  "replicaset-controller",
  "disruption-controller",
  "root-ca-certificate-publisher-controller",
  // Without it a namespace with a claim cannot be deleted.
  "persistentvolumeclaim-protection-controller",
];

/** What HorizontalPodAutoscalers need. A real one looks every 15 s. */
const HPA_CONTROLLERS = ["horizontal-pod-autoscaler-controller"];
const HPA_FLAGS = ["--horizontal-pod-autoscaler-sync-period=1s"];

/** Every request is written down when it arrives, before it is served, and when its answer is complete. */
const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["ResponseStarted", "Panic"],
  rules: [{ level: "Metadata" }],
};

/** One line of the audit log. */
export interface AuditRecord {
  readonly verb: string;
  readonly requestURI: string;
  readonly stage: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number };
}

export interface ControlPlaneOptions {
  /** Data, certificates and logs go here; the caller removes it. */
  readonly folder: string;
  /** Gives the path of a built program. */
  readonly program: (name: "etcd" | "kube-apiserver" | "kube-controller-manager") => string;
  /** Runs Deployments, too, and gives pods their service account's files, as a full cluster does. */
  readonly workloads?: boolean;
  /** Runs HorizontalPodAutoscalers, too, on the values of {@link ControlPlane.externalMetrics}. */
  readonly hpa?: boolean;
}

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #token = crypto.randomUUID();
  readonly #auditLog: string;
  #etcd: Child | undefined;
  #apiServer: Child | undefined;
  #controllerManager: Child | undefined;
  #api: KubeApi | undefined;
  #externalMetrics: ExternalMetrics | undefined;

  private constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#auditLog = join(options.folder, "audit.log");
  }

  static async start(options: ControlPlaneOptions): Promise<ControlPlane> {
    const plane = new ControlPlane(options);
    try {
      await plane.#start();
      return plane;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  /** As a member of `system:masters`. */
  get api(): KubeApi {
    if (this.#api === undefined) throw new Error("Cannot use the API server: it was not started");
    return this.#api;
  }

  /** What HorizontalPodAutoscalers read. */
  get externalMetrics(): ExternalMetrics {
    if (this.#externalMetrics === undefined) {
      throw new Error('Cannot set metrics: there are none without "hpa"');
    }
    return this.#externalMetrics;
  }

  async #start(): Promise<void> {
    const { folder, hpa = false } = this.#options;
    await Deno.writeTextFile(join(folder, "tokens.csv"), `${this.#token},admin,admin,"system:masters"\n`);
    await Deno.writeTextFile(join(folder, "audit-policy.json"), JSON.stringify(AUDIT_POLICY));
    await writeSigningKey(join(folder, "sa.key"), join(folder, "sa.pub"));
    this.#startEtcd();
    await this.#startApiServer();
    await Deno.writeTextFile(join(folder, "admin.kubeconfig"), kubeconfig(this.api.access));
    if (hpa) this.#externalMetrics = await ExternalMetrics.start(this.api, API_ADDRESS);
    this.#startControllerManager();
  }

  #startEtcd(): void {
    const { folder } = this.#options;
    this.#etcd = new Child({
      name: "etcd",
      command: this.#options.program("etcd"),
      args: [
        `--data-dir=${join(folder, "etcd")}`,
        `--listen-client-urls=${ETCD_URL}`,
        `--advertise-client-urls=${ETCD_URL}`,
        `--listen-peer-urls=${ETCD_PEER_URL}`,
        `--initial-advertise-peer-urls=${ETCD_PEER_URL}`,
        `--initial-cluster=default=${ETCD_PEER_URL}`,
        "--unsafe-no-fsync",
        "--log-level=warn",
      ],
      logFile: join(folder, "etcd.log"),
    });
  }

  /** Copies the data of the API server, which is away meanwhile. Gives the copy's folder. */
  async backUp(): Promise<string> {
    const copy = await Deno.makeTempDir({ dir: this.#options.folder, prefix: "backup-" });
    await this.#withoutData(() => copyFolder(join(this.#options.folder, "etcd"), join(copy, "etcd")));
    return join(copy, "etcd");
  }

  /** The data is that of the copy from now on: all versions go back. */
  async restore(copy: string): Promise<void> {
    const data = join(this.#options.folder, "etcd");
    await this.#withoutData(async () => {
      await Deno.remove(data, { recursive: true });
      await copyFolder(copy, data);
    });
    this.api.followAnew();
  }

  /** While neither the API server nor etcd runs. */
  async #withoutData(work: () => Promise<void>): Promise<void> {
    await this.killApiServer();
    await this.#etcd?.kill();
    await work();
    this.#startEtcd();
    await this.restartApiServer();
  }

  #startControllerManager(): void {
    const { folder, workloads = false, hpa = false } = this.#options;
    const controllers = [
      ...CONTROLLERS,
      ...workloads ? WORKLOAD_CONTROLLERS : [],
      ...hpa ? HPA_CONTROLLERS : [],
    ];
    this.#controllerManager = new Child({
      name: "kube-controller-manager",
      command: this.#options.program("kube-controller-manager"),
      args: [
        `--kubeconfig=${join(folder, "admin.kubeconfig")}`,
        `--controllers=${controllers.join(",")}`,
        ...hpa ? HPA_FLAGS : [],
        `--root-ca-file=${join(folder, "certificates", "apiserver.crt")}`,
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--secure-port=0",
      ],
      logFile: join(folder, "kube-controller-manager.log"),
    });
  }

  /**
   * Starts the API server again, on the same data and address, and waits until it is ready. The controller manager is
   * started anew as well: its own back-off of many seconds is not under test.
   */
  async restartApiServer(): Promise<void> {
    await this.killApiServer();
    await this.#startApiServer();
    await this.#controllerManager?.kill();
    this.#startControllerManager();
  }

  async #startApiServer(): Promise<void> {
    const { folder, workloads = false, hpa = false } = this.#options;
    const child = new Child({
      name: "kube-apiserver",
      command: this.#options.program("kube-apiserver"),
      args: [
        `--etcd-servers=${ETCD_URL}`,
        `--bind-address=${API_ADDRESS}`,
        `--advertise-address=${API_ADDRESS}`,
        `--secure-port=${API_PORT}`,
        `--cert-dir=${join(folder, "certificates")}`,
        `--token-auth-file=${join(folder, "tokens.csv")}`,
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        `--service-account-issuer=${ISSUER}`,
        // Tokens end when they say so, as hardened clusters want it.
        "--service-account-extend-token-expiration=false",
        `--service-account-key-file=${join(folder, "sa.pub")}`,
        `--service-account-signing-key-file=${join(folder, "sa.key")}`,
        "--service-cluster-ip-range=10.98.0.0/16",
        ...workloads ? [] : ["--disable-admission-plugins=ServiceAccount"],
        // There is no proxy for Service addresses.
        ...hpa ? ["--enable-aggregator-routing=true"] : [],
        `--audit-policy-file=${join(folder, "audit-policy.json")}`,
        `--audit-log-path=${this.#auditLog}`,
        "--audit-log-mode=blocking",
      ],
      logFile: join(folder, "kube-apiserver.log"),
    });
    this.#apiServer = child;
    await until("the API server to be ready", async () => {
      if (child.status !== undefined) return "ended";
      if (this.#api === undefined) {
        const caPem = await Deno.readTextFile(join(folder, "certificates", "apiserver.crt"));
        const access: ApiAccess = {
          baseUrl: `https://${API_ADDRESS}:${API_PORT}`,
          caPem,
          token: this.#token,
        };
        this.#api = new KubeApi(access);
      }
      return await this.#api.isReady();
    }, { pollMs: 100, explain: () => child.tail() });
    if (child.status !== undefined) throw new Error(`The API server ended at once\n${child.tail()}`);
  }

  /** A token of that service account which is valid for so long from now on: shorter than any that the API server gives. */
  async signToken(
    { namespace, name, uid }: { readonly namespace: string; readonly name: string; readonly uid: string },
    validForMs: number,
  ): Promise<string> {
    const issuedS = Math.floor(Date.now() / 1000);
    return await signedToken(join(this.#options.folder, "sa.key"), {
      iss: ISSUER,
      aud: [ISSUER],
      sub: `system:serviceaccount:${namespace}:${name}`,
      iat: issuedS,
      nbf: issuedS,
      exp: issuedS + Math.round(validForMs / 1000),
      "kubernetes.io": { namespace, serviceaccount: { name, uid } },
    });
  }

  /** The API server takes connections and answers nothing until `thawApiServer`. */
  freezeApiServer(): void {
    this.#apiServer?.signal("SIGSTOP");
  }

  thawApiServer(): void {
    this.#apiServer?.signal("SIGCONT");
  }

  /** SIGKILL: connections are cut, new ones are refused until `restartApiServer`. */
  async killApiServer(): Promise<void> {
    await this.#apiServer?.kill();
  }

  /** Whether the API server was killed and not started again. */
  get apiServerGone(): boolean {
    return this.#apiServer?.status !== undefined;
  }

  /** What the API server was asked so far by the user of that name, in order of arrival. */
  requestsBy(username: string): Promise<readonly AuditRecord[]> {
    return this.#audited(username, (record) => record.stage === "RequestReceived");
  }

  /** Those requests of the user that were refused for lack of a right. */
  refusedTo(username: string): Promise<readonly AuditRecord[]> {
    return this.#audited(
      username,
      (record) => record.stage === "ResponseComplete" && record.responseStatus?.code === 403,
    );
  }

  async #audited(
    username: string,
    matches: (record: AuditRecord) => boolean,
  ): Promise<readonly AuditRecord[]> {
    const lines = (await Deno.readTextFile(this.#auditLog)).split("\n");
    return lines.filter((line) => line.includes(username))
      .map((line) => JSON.parse(line) as AuditRecord)
      .filter((record) => record.user.username === username && matches(record));
  }

  tails(): string {
    return [this.#apiServer, this.#controllerManager].map((child) => child?.tail(15) ?? "").join("\n");
  }

  async stop(): Promise<void> {
    this.#api?.close();
    const children = [this.#controllerManager, this.#apiServer, this.#etcd];
    await cleanUp(
      ...children.map((child) => () => child?.kill()),
      () => this.#externalMetrics?.stop(),
    );
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("cp", { args: ["-r", from, to] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };

/** A JSON Web Token (RFC 7519) with these claims, signed by the key in that file. */
async function signedToken(privatePath: string, claims: unknown): Promise<string> {
  const pem = (await Deno.readTextFile(privatePath)).replaceAll(/-----.*-----|\s/g, "");
  const key = await crypto.subtle.importKey("pkcs8", Uint8Array.fromBase64(pem), KEY_ALGORITHM, false, [
    "sign",
  ]);
  const encode = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const bytesOf = (text: string) => new TextEncoder().encode(text);
  const parts = [{ alg: "ES256", typ: "JWT" }, claims].map((part) => encode(bytesOf(JSON.stringify(part))));
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const signature = await crypto.subtle.sign(algorithm, key, bytesOf(parts.join(".")));
  return [...parts, encode(new Uint8Array(signature))].join(".");
}

/** A key pair of the kind that signs service-account tokens (P-256, PEM). */
async function writeSigningKey(privatePath: string, publicPath: string): Promise<void> {
  const pair = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
  const pem = async (label: string, format: "pkcs8" | "spki", key: CryptoKey) => {
    const bytes = new Uint8Array(await crypto.subtle.exportKey(format, key));
    const lines = bytes.toBase64().match(/.{1,64}/g) ?? [];
    return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
  };
  await Deno.writeTextFile(privatePath, await pem("PRIVATE KEY", "pkcs8", pair.privateKey), { mode: 0o600 });
  await Deno.writeTextFile(publicPath, await pem("PUBLIC KEY", "spki", pair.publicKey));
}
