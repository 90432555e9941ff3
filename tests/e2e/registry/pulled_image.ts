/**
 * An image of a registry, for the kubelet stand-in to run: its files unpacked, its program, user and variables as its own
 * configuration says.
 *
 * @module
 */

import { join } from "node:path";
import type { Image } from "../containers/image.ts";
import { pull, type RegistryAccess } from "./pull.ts";

/** Pulls the image for amd64, the only one that runs here, into the new folder. */
export async function pulledImage(reference: string, access: RegistryAccess, folder: string): Promise<Image> {
  const { layout } = await pull(reference, access, join(folder, "image"));
  const root = join(folder, "rootfs");
  await layout.unpack("amd64", root);
  const { User = "0", Env = [], Entrypoint = [] } = layout.config("amd64").config;
  const [uid = 0, gid = 0] = User.split(":").map(Number);
  const names = (await Array.fromAsync(Deno.readDir(root))).map(({ name }) => name);
  return {
    entrypoint: Entrypoint,
    env: Object.fromEntries(Env.map((each) => each.split("=", 2))),
    uid,
    gid,
    mounts: names.map((name) => ({ source: join(root, name), destination: `/${name}` })),
    folders: [],
  };
}
