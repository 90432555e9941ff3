/**
 * The API types that the program reads and writes. Any field may be missing in a response.
 *
 * @module
 */
import type { StatefulSet as ApiStatefulSet } from "kubernetes-types/apps/v1.d.ts";
import type { HorizontalPodAutoscaler as ApiAutoscaler } from "kubernetes-types/autoscaling/v2.d.ts";
import type { Lease as ApiLease } from "kubernetes-types/coordination/v1.d.ts";
import type {
  Namespace as ApiNamespace,
  PersistentVolumeClaim as ApiClaim,
  Pod as ApiPod,
  PodTemplateSpec as ApiPodTemplate,
  Service as ApiService,
} from "kubernetes-types/core/v1.d.ts";
import type { EndpointSlice as ApiEndpointSlice } from "kubernetes-types/discovery/v1.d.ts";
import type { Event as ApiEvent } from "kubernetes-types/events/v1.d.ts";
import type { StorageClass as ApiStorageClass } from "kubernetes-types/storage/v1.d.ts";

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/stateful-set-v1/ */
export type StatefulSet = ApiStatefulSet;

/** https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/ */
export type EndpointSlice = ApiEndpointSlice;

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ */
export type Pod = ApiPod;

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/ */
export type Lease = ApiLease;

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-template-v1/ */
export type PodTemplate = ApiPodTemplate;

/** https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/ */
export type Service = ApiService;

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/ */
export type Namespace = ApiNamespace;

/** https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/ */
export type PersistentVolumeClaim = ApiClaim;

/** https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/storage-class-v1/ */
export type StorageClass = ApiStorageClass;

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/ */
export type HorizontalPodAutoscaler = ApiAutoscaler;

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
export type KubeEvent = ApiEvent;
