/**
 * The API types that the program reads. Any field may be missing in a response.
 *
 * @module
 */
import type { StatefulSet as ApiStatefulSet } from "kubernetes-types/apps/v1.d.ts";
import type { Lease as ApiLease } from "kubernetes-types/coordination/v1.d.ts";
import type { Pod as ApiPod } from "kubernetes-types/core/v1.d.ts";
import type { EndpointSlice as ApiEndpointSlice } from "kubernetes-types/discovery/v1.d.ts";

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/stateful-set-v1/ */
export type StatefulSet = ApiStatefulSet;

/** https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/ */
export type EndpointSlice = ApiEndpointSlice;

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ */
export type Pod = ApiPod;

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/ */
export type Lease = ApiLease;
