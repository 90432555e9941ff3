/**
 * What clients are told, and the log, when observe mode keeps a builder from being woken. Pure.
 *
 * @module
 */

/** Why nobody wakes a builder, and what to do: a clause. */
export function asleepText(name: string): string {
  return `this proxy only observes (--observe) and wakes nothing: scale StatefulSet "${name}" up by hand, or run ` +
    "without --observe";
}
