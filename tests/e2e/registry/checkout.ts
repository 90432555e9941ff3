/**
 * A repository that holds the files of this checkout as they are, committed or not, for commands that begin with
 * `git clone`. The checkout itself is not touched.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../../.ci/commands.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

const NOBODY = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "e2e",
  GIT_AUTHOR_EMAIL: "e2e@example.com",
  GIT_COMMITTER_NAME: "e2e",
  GIT_COMMITTER_EMAIL: "e2e@example.com",
};

/** Makes the repository in a new folder, and gives variables with which `git clone ADDRESS` clones it. */
export async function commitCheckout(folder: string, address: string): Promise<Record<string, string>> {
  const repository = join(folder, ".git");
  await run("git", ["init", "--quiet", "--initial-branch=main", folder]);
  const env = { ...NOBODY, GIT_DIR: repository, GIT_WORK_TREE: ROOT };
  await run("git", ["add", "--all"], { env });
  await run("git", ["commit", "--quiet", "--message=The checkout"], { env });
  await run("git", ["reset", "--hard", "--quiet"], { cwd: folder, env: NOBODY });
  return {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.${folder}.insteadOf`,
    GIT_CONFIG_VALUE_0: address,
  };
}

/** Commits what was changed in the repository and tags it. Gives the commit. */
export async function commitAndTag(folder: string, tag: string): Promise<string> {
  const options = { cwd: folder, env: NOBODY };
  await run("git", ["commit", "--quiet", "--all", "--allow-empty", `--message=${tag}`], options);
  await run("git", ["tag", tag], options);
  return (await run("git", ["rev-parse", "HEAD"], options)).trim();
}
