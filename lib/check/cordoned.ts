/**
 * Whose builds the settings refuse. Pure.
 *
 * @module
 */
import { poolsOf } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import { cordonedHomes } from "../route/cordoned.ts";
import { failed, type Finding } from "./finding.ts";

/** One finding for each pool of which some builds are refused. */
export function cordonFindings(settings: Settings): readonly Finding[] {
  return poolsOf(settings).flatMap(({ name, builders }) => {
    const homes = cordonedHomes(settings, builders);
    if (homes.length === 0) return [];
    const names = homes.map((home) => `"${home.name}"`).join(", ");
    const [found, fix] = homes.length === builders.length
      ? ["all of them are cordoned, so each new build is refused", "take a builder out of --cordoned"]
      : [
        `projects of ${names} may use no other builder (--overflow never), so each new build of theirs is refused`,
        "use --overflow full, or take them out of --cordoned",
      ];
    const check = name === "" ? "cordoned builders" : `cordoned builders of the pool "${name}"`;
    return [failed(check, found, "a builder for each project", fix)];
  });
}
