/**
 * The command lines of the control plane: etcd, kube-apiserver with the admission plugins of a usual cluster,
 * kube-controller-manager with all its usual controllers, kube-scheduler.
 *
 * @module
 */

import { kubeconfigOf } from "./credentials.ts";
import type { Daemon } from "./daemon.ts";
import { at, NODE_ADDRESS, SERVICES } from "./place.ts";

const ETCD_URL = "http://127.0.0.1:2379";
const ETCD_PEER_URL = "http://127.0.0.1:2380";

/** Every change is written down with its user, and every refusal. */
export const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived", "ResponseStarted", "Panic"],
  rules: [
    { level: "None", userGroups: ["system:nodes"] },
    { level: "None", users: ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"] },
    { level: "Metadata" },
  ],
};

/** The daemons in the order of their start; `program` gives the path of a built program. */
export function controlPlane(program: (name: string) => string): readonly Daemon[] {
  return [
    {
      name: "etcd",
      command: [
        program("etcd"),
        `--data-dir=${at("etcd")}`,
        `--listen-client-urls=${ETCD_URL}`,
        `--advertise-client-urls=${ETCD_URL}`,
        `--listen-peer-urls=${ETCD_PEER_URL}`,
        `--initial-advertise-peer-urls=${ETCD_PEER_URL}`,
        `--initial-cluster=default=${ETCD_PEER_URL}`,
        "--unsafe-no-fsync",
        "--log-level=warn",
      ],
    },
    {
      name: "kube-apiserver",
      command: [
        program("kube-apiserver"),
        `--etcd-servers=${ETCD_URL}`,
        `--bind-address=${NODE_ADDRESS}`,
        `--advertise-address=${NODE_ADDRESS}`,
        "--secure-port=6443",
        `--tls-cert-file=${at("api.crt")}`,
        `--tls-private-key-file=${at("api.key")}`,
        `--client-ca-file=${at("ca.crt")}`,
        `--kubelet-client-certificate=${at("api-to-kubelet.crt")}`,
        `--kubelet-client-key=${at("api-to-kubelet.key")}`,
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        `--service-account-key-file=${at("service-accounts.key")}`,
        `--service-account-signing-key-file=${at("service-accounts.key")}`,
        `--service-cluster-ip-range=${SERVICES.range}`,
        `--token-auth-file=${at("tokens.csv")}`,
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        `--audit-policy-file=${at("audit-policy.json")}`,
        `--audit-log-path=${at("audit.log")}`,
      ],
    },
    {
      name: "kube-controller-manager",
      command: [
        program("kube-controller-manager"),
        `--kubeconfig=${kubeconfigOf("kube-controller-manager")}`,
        `--service-account-private-key-file=${at("service-accounts.key")}`,
        `--root-ca-file=${at("ca.crt")}`,
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
      ],
    },
    {
      name: "kube-scheduler",
      command: [
        program("kube-scheduler"),
        `--kubeconfig=${kubeconfigOf("kube-scheduler")}`,
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
      ],
    },
  ];
}
