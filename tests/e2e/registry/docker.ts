/**
 * Stands in for `docker` where there is no Docker. Workplace.ts puts it on the PATH.
 *
 * `docker buildx` is the real docker-buildx, but with the buildkitd of `builder.ts` in the place of one in a container, and
 * with images from folders for the names that cannot be pulled. `docker login` asks the registry and keeps the password
 * where buildx looks for it. `docker run` pulls the image and runs it by runc. Other commands and unknown flags are errors.
 *
 * @module
 */

import { join } from "node:path";
import { containerCommand } from "../containers/confined.ts";
import { cgroupParent, programPath } from "../surroundings.ts";
import { parseReference, pull, type RegistryAccess } from "./pull.ts";

/** What the variable `E2E_DOCKER` says. */
export interface DockerSettings {
  /** Address of the builder. */
  readonly builder: string;
  /** As in `--build-context`. */
  readonly contexts: readonly string[];
  /** The certificate of the registry, as a file. */
  readonly caFile: string;
}

const RUN_MEMORY_BYTES = 512 * 1024 * 1024;

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`docker (stand-in): ${line}\n`));
}

/** Gives a program this process's input and output, and its exit code. */
async function handOver(command: string, args: readonly string[]): Promise<number> {
  const child = new Deno.Command(command, { args: [...args], stdin: "inherit" }).spawn();
  return (await child.status).code;
}

/** The arguments for the real buildx. */
export function buildxArguments(args: readonly string[], settings: DockerSettings): readonly string[] {
  const [command = "", ...rest] = args;
  if (command === "build") {
    return [command, ...settings.contexts.flatMap((context) => ["--build-context", context]), ...rest];
  }
  const driver = rest.indexOf("--driver");
  if (command !== "create" || rest[driver + 1] === "remote") return args;
  const others = driver < 0 ? rest : [...rest.slice(0, driver), ...rest.slice(driver + 2)];
  return [command, ...others, "--driver", "remote", settings.builder];
}

async function buildx(args: readonly string[], settings: DockerSettings): Promise<number> {
  const real = buildxArguments(args, settings);
  if (real !== args) say(`buildx ${real.join(" ")}`);
  return await handOver(programPath("docker-buildx"), real);
}

function configPath(): string {
  return join(Deno.env.get("DOCKER_CONFIG") ?? "", "config.json");
}

async function login(args: readonly string[], { caFile }: DockerSettings): Promise<number> {
  const [host = "", userFlag, user, stdinFlag, ...others] = args;
  if (userFlag !== "--username" || stdinFlag !== "--password-stdin" || others.length > 0) {
    throw new Error(`login: found "${args.join(" ")}", want HOST --username USER --password-stdin`);
  }
  const password = (await new Response(Deno.stdin.readable).text()).trimEnd();
  const auth = btoa(`${user}:${password}`);
  const client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(caFile)] });
  const headers = { authorization: `Basic ${auth}` };
  const response = await fetch(`https://${host}/v2/`, { client, headers });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`login: ${host} gave ${response.status}`);
  await Deno.mkdir(Deno.env.get("DOCKER_CONFIG") ?? "", { recursive: true });
  await Deno.writeTextFile(configPath(), JSON.stringify({ auths: { [host]: { auth } } }));
  say(`logged in to ${host}`);
  return 0;
}

/** How the registry of a reference is reached, with the login that was kept for it. */
async function accessTo(reference: string, caFile: string): Promise<RegistryAccess> {
  const { auths } = JSON.parse(await Deno.readTextFile(configPath()).catch(() => `{"auths":{}}`));
  const auth: string | undefined = auths[parseReference(reference).host]?.auth;
  return { caFile, ...(auth === undefined ? {} : { login: atob(auth) }) };
}

/** The flags that `run` takes. The container always gets what they ask for. */
const RUN_FLAGS = ["--rm", "--read-only", "--cap-drop", "ALL"];

async function runImage(args: readonly string[], { caFile }: DockerSettings): Promise<number> {
  const flags = args.slice(0, RUN_FLAGS.length);
  const [reference = "", ...command] = args.slice(RUN_FLAGS.length);
  if (flags.join(" ") !== RUN_FLAGS.join(" ")) {
    throw new Error(`run: found "${args.join(" ")}", want ${RUN_FLAGS.join(" ")} IMAGE COMMAND`);
  }
  const folder = await Deno.makeTempDir({ prefix: "docker-run-" });
  try {
    const { layout } = await pull(reference, await accessTo(reference, caFile), join(folder, "image"));
    const rootfs = join(folder, "rootfs");
    await layout.unpack("amd64", rootfs);
    const { User = "0", Env = [], Entrypoint = [] } = layout.config("amd64").config;
    const id = `docker-run-${crypto.randomUUID()}`;
    const [runc = "", ...runcArgs] = await containerCommand(join(folder, "bundle"), {
      id,
      rootfs,
      command: [...Entrypoint, ...command],
      env: Object.fromEntries(Env.map((each) => each.split("=", 2))),
      uid: Number(User.split(":")[0]),
      cgroup: `/${cgroupParent()}/${id}`,
      memoryBytes: RUN_MEMORY_BYTES,
      seccompProfile: programPath("seccomp-profile"),
    });
    say(`runs ${reference} by runc`);
    return await handOver(runc, runcArgs);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const settings: DockerSettings = JSON.parse(Deno.env.get("E2E_DOCKER") ?? "{}");
  const [command, ...args] = Deno.args;
  const commands: Readonly<Record<string, () => Promise<number>>> = {
    buildx: () => buildx(args, settings),
    login: () => login(args, settings),
    run: () => runImage(args, settings),
  };
  try {
    const chosen = commands[command ?? ""];
    if (chosen === undefined) throw new Error(`there is no stand-in for "docker ${command}"`);
    Deno.exit(await chosen());
  } catch (error) {
    say((error as Error).message);
    Deno.exit(1);
  }
}
