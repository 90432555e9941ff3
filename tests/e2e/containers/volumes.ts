/**
 * A pod's volumes as folders: empty ones, claims that outlive the pod, and files from ConfigMaps, Secrets, the pod's own
 * fields and service-account tokens (by the TokenRequest API, bound to the pod).
 *
 * Files are written once, when the container starts; tokens of the length that pods get live longer than any test.
 * Throws for a kind of volume that it does not know.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { ApiError, type KubeApi } from "../kube_api.ts";
import { fieldValue, type PodFacts } from "./environment.ts";
import type { FileSource, KeyToPath, VolumeSpec } from "./pod_spec.ts";

export interface VolumesOptions extends PodFacts {
  readonly api: KubeApi;
  /** Holds what goes with the pod; the caller removes it. */
  readonly podFolder: string;
  /** Holds what stays, one folder a claim. */
  readonly claimsFolder: string;
}

/** Prepares all volumes of the pod and gives the folder of each by name. */
export async function prepareVolumes(options: VolumesOptions): Promise<ReadonlyMap<string, string>> {
  const folders = new Map<string, string>();
  for (const volume of options.pod.spec.volumes ?? []) {
    folders.set(volume.name, await prepareVolume(options, volume));
  }
  return folders;
}

async function prepareVolume(options: VolumesOptions, volume: VolumeSpec): Promise<string> {
  if (volume.persistentVolumeClaim !== undefined) {
    return await openFolder(join(options.claimsFolder, volume.persistentVolumeClaim.claimName));
  }
  const folder = join(options.podFolder, "volumes", volume.name);
  if (volume.emptyDir !== undefined) return await openFolder(folder);
  const sources = volume.projected?.sources ?? [volume];
  const known = ["serviceAccountToken", "configMap", "secret", "downwardAPI"] as const;
  for (const source of sources) {
    if (!known.some((kind) => source[kind] !== undefined)) {
      throw new Error(
        `Cannot mount the volume "${volume.name}": the kubelet stand-in does not know ${
          JSON.stringify(source)
        }`,
      );
    }
    for (const [path, bytes] of await filesOf(options, source)) {
      await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
      await Deno.writeFile(join(folder, path), bytes, { mode: 0o644 });
    }
  }
  await Deno.mkdir(folder, { recursive: true });
  return folder;
}

/** A folder that any user may write to, as a volume with an `fsGroup` is for its group. */
async function openFolder(path: string): Promise<string> {
  await Deno.mkdir(path, { recursive: true });
  await Deno.chmod(path, 0o777);
  return path;
}

type Files = readonly (readonly [path: string, bytes: Uint8Array<ArrayBuffer>])[];

const encode = (text: string) => new TextEncoder().encode(text);

async function filesOf(options: VolumesOptions, source: FileSource): Promise<Files> {
  const { api, pod } = options;
  const at = `/api/v1/namespaces/${pod.metadata.namespace}`;
  if (source.serviceAccountToken !== undefined) {
    const { path, expirationSeconds = 3600, audience } = source.serviceAccountToken;
    const answer = await api.create<{ status: { token: string } }>(
      `${at}/serviceaccounts/${pod.spec.serviceAccountName}/token`,
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: {
          expirationSeconds,
          ...(audience && { audiences: [audience] }),
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name: pod.metadata.name, uid: pod.metadata.uid },
        },
      },
    );
    return [[path, encode(answer.status.token)]];
  }
  if (source.configMap !== undefined) {
    const { name, items, optional } = source.configMap;
    const data = await dataOf(api, `${at}/configmaps/${name}`, optional);
    return picked(data, items, encode);
  }
  if (source.secret !== undefined) {
    const { name, secretName, items, optional } = source.secret;
    const data = await dataOf(api, `${at}/secrets/${name ?? secretName}`, optional);
    return picked(data, items, (text) => Uint8Array.fromBase64(text));
  }
  return (source.downwardAPI?.items ?? []).map(({ path, fieldRef }) =>
    [path, encode(fieldValue(options, fieldRef?.fieldPath ?? ""))] as const
  );
}

async function dataOf(api: KubeApi, path: string, optional = false): Promise<Record<string, string>> {
  try {
    return (await api.get<{ data?: Record<string, string> }>(path)).data ?? {};
  } catch (error) {
    if (optional && error instanceof ApiError && error.status === 404) return {};
    throw error;
  }
}

function picked(
  data: Readonly<Record<string, string>>,
  items: readonly KeyToPath[] | undefined,
  decode: (text: string) => Uint8Array<ArrayBuffer>,
): Files {
  if (items === undefined) return Object.entries(data).map(([key, text]) => [key, decode(text)] as const);
  return items.map(({ key, path }) => {
    const text = data[key];
    if (text === undefined) throw new Error(`Cannot mount the key "${key}": it is not there`);
    return [path, decode(text)] as const;
  });
}
