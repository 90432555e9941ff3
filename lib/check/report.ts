/**
 * The doctor's report, as text for people and as JSON for programs. Pure.
 *
 * @module
 */
import { wrap } from "../base/wrap.ts";
import { onOneLine } from "../ops/log_output.ts";
import type { Finding, Result } from "./finding.ts";

/** The words of the text. */
const WORDS: Readonly<Record<Result, string>> = {
  ok: "ok",
  warning: "warning",
  failed: "FAILED",
  unchecked: "not checked",
};

/** The width of the text, but for words and commands that are longer. */
const WIDTH = 110;
const INDENT = 13;

/** Whether nothing failed. What was not checked is no failure. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ result }) => result !== "failed");
}

/** For people. What the cluster said cannot move their cursor. */
export function reportText(findings: readonly Finding[]): string {
  return [...findings.map(findingText), "", summary(findings), ""].join("\n");
}

function findingText({ check, result, found, want, fix }: Finding): string {
  const lines = [
    ...wrap(`${onOneLine(check)}: ${onOneLine(found)}`, WIDTH - INDENT),
    ...(want === undefined ? [] : wrap(`want: ${onOneLine(want)}`, WIDTH - INDENT)),
    // A command can be copied from one line.
    ...(fix === undefined ? [] : [`fix: ${onOneLine(fix)}`]),
  ];
  return lines.map((line, i) => `${(i === 0 ? WORDS[result] : "").padEnd(INDENT)}${line}`).join("\n");
}

function summary(findings: readonly Finding[]): string {
  const counts = (["failed", "warning", "unchecked", "ok"] as const).map((result) => {
    const count = findings.filter((finding) => finding.result === result).length;
    return count === 0 ? [] : [`${count} ${result === "failed" ? "failed" : countedWord(result, count)}`];
  });
  return counts.flat().join(", ");
}

function countedWord(result: Result, count: number): string {
  return result === "warning" && count > 1 ? "warnings" : WORDS[result];
}

/** For programs: `{"healthy":…,"findings":[…]}`. */
export function reportJson(findings: readonly Finding[]): string {
  const text = JSON.stringify({ healthy: isHealthy(findings), findings }, undefined, 2);
  // JSON allows some control characters unescaped.
  return `${text.split("\n").map(onOneLine).join("\n")}\n`;
}
