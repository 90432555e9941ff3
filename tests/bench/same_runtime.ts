/**
 * Compiles small programs on the runtime and with the flags of the program, so that what they cost is what the runtime
 * costs. They take no part in tests.
 *
 * @module
 */
import { compile, flagsOf } from "../../.ci/compile.ts";
import config from "../../deno.json" with { type: "json" };
import { programVersion } from "./stage.ts";

/**
 * Compiles `source`, in JavaScript, in a folder of its own below `folder`, and gives the path of the program.
 *
 * @throws Error if it would run on another runtime than the program
 */
export async function compileBeside(folder: string, name: string, source: string): Promise<string> {
  const place = `${folder}/${name}-program`;
  await Deno.mkdir(place);
  await Deno.writeTextFile(`${place}/main.js`, source);
  const flags = flagsOf(config.tasks.start.command);
  const path = `${place}/${name}`;
  const runtime = await compile({ folder: place, flags }, Deno.build.target, path, true);
  const version = await programVersion();
  if (!version.includes(`deno ${runtime},`)) {
    throw new Error(`Cannot compare: "${name}" runs on deno ${runtime}, the program is ${version}`);
  }
  return path;
}
