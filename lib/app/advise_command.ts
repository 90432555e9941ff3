/**
 * The `advise` command: reads a history from a file or standard input, replays it, and makes the report.
 *
 * @module
 */
import { type AdviceOptions, advise } from "../advise/advice.ts";
import { linesOf } from "../advise/lines.ts";
import { readHistory } from "../advise/read_history.ts";
import { adviceJson, adviceText } from "../advise/report.ts";
import type { ReportOutput } from "../config/commands.ts";

/** What it is asked for. */
export interface AdviseCommand extends AdviceOptions {
  /** How to print the report. */
  readonly output: ReportOutput;
}

/** What it touches the outside with. */
export interface AdvisePorts {
  /** The file. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Resolves when everything has run that can run without time passing. */
  turn(): Promise<void>;
}

/**
 * The report on the file.
 *
 * @throws UsageError with the problems of all its lines; what reading it throws
 */
export async function runAdvise(command: AdviseCommand, { bytes, turn }: AdvisePorts): Promise<string> {
  const declared = command.settings.builders?.map(({ name }) => name);
  const history = await readHistory(linesOf(bytes), declared);
  const advice = await advise(history, command, turn);
  const report = { history, advice, price: command.settings.pricePerHour };
  return command.output === "json" ? adviceJson(report) : adviceText(report);
}
