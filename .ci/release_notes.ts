/**
 * Prints the notes of a release, after looking whether its tag may be released:
 *
 *     deno run -A .ci/release_notes.ts v1.2.3
 *
 * The tag, `deno.json` and the chart have to name the same version, and the CHANGELOG needs a part for it with the
 * date of the release. Exit codes: 0 printed, 1 not to be released, with the reasons.
 *
 * @module
 */
import { load } from "js-yaml";

const ROOT = new URL("../", import.meta.url);

/** The files of a checkout that name its version. */
export interface VersionedFiles {
  /** `deno.json`. */
  readonly config: { readonly version: string };
  /** `Chart.yaml`. */
  readonly chart: { readonly version: string; readonly appVersion: string };
  /** `CHANGELOG.md`. */
  readonly changelog: string;
}

/**
 * The notes of the release of `tag`.
 *
 * @throws Error with every reason why it cannot be released, one a line
 */
export function releaseNotes(tag: string, { config, chart, changelog }: VersionedFiles): string {
  const version = tag.replace(/^v/, "");
  const reasons = [];
  if (!/^v\d+\.\d+\.\d+(-[\w.]+)?$/.test(tag)) {
    reasons.push(`Cannot release "${tag}": want a tag such as "v1.2.3"`);
  }
  const named = { "version in deno.json": config.version, "version of the chart": chart.version };
  for (const [what, found] of Object.entries({ ...named, "appVersion of the chart": chart.appVersion })) {
    if (found !== version) {
      reasons.push(`Cannot release "${tag}": found ${what} "${found}", want "${version}"`);
    }
  }
  const parts = changelog.split(/^## /m).slice(1).map((part) => {
    const [title = "", ...lines] = part.split("\n");
    return { title, notes: lines.join("\n").trim() };
  });
  const part = parts.find(({ title }) => title.split(" ")[0] === version);
  if (part === undefined) {
    reasons.push(`Cannot release "${tag}": want a part "## ${version} (date)" in CHANGELOG.md`);
  } else if (!/ \(\d{4}-\d{2}-\d{2}\)$/.test(part.title)) {
    reasons.push(
      `Cannot release "${tag}": found "## ${part.title}" in CHANGELOG.md, want the date in brackets`,
    );
  } else if (part.notes === "") {
    reasons.push(`Cannot release "${tag}": found nothing below "## ${part.title}" in CHANGELOG.md`);
  }
  if (reasons.length > 0 || part === undefined) throw new Error(reasons.join("\n"));
  // Links of a release's page start elsewhere.
  return part.notes.replace(
    /\]\((?!https?:|#)/g,
    `](https://github.com/EarthBuild/buildkitd-autoscaler/blob/${tag}/`,
  );
}

/** Reads the checkout's files. */
export async function readVersionedFiles(): Promise<VersionedFiles> {
  const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
  return {
    config: JSON.parse(await read("deno.json")),
    chart: load(await read("helm/buildkitd-stack/Chart.yaml")) as VersionedFiles["chart"],
    changelog: await read("CHANGELOG.md"),
  };
}

if (import.meta.main) {
  try {
    const notes = releaseNotes(Deno.args[0] ?? "", await readVersionedFiles());
    Deno.stdout.writeSync(new TextEncoder().encode(`${notes}\n`));
  } catch (error) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${(error as Error).message}\n`));
    Deno.exit(1);
  }
}
