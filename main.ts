/**
 * The entry of the program: signals, arguments, environment and exit code. `lib/app.ts` does the work. Only the signal
 * listeners are imported at once; everything else is imported when a command needs it.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 *
 * @module
 */
import { listenForSignals, type StopSignals } from "./lib/signals.ts";

async function main(stop: StopSignals): Promise<number> {
  const { UsageError } = await import("./lib/base/errors.ts");
  const { PROGRAM } = await import("./lib/config/commands.ts");
  try {
    const request = await readRequest(withoutSeparator(Deno.args), Deno.env.toObject());
    switch (request.command) {
      case "help":
        await print(request.text);
        return 0;
      case "version":
        await print(`${PROGRAM} ${await describeVersion()}\n`);
        return 0;
      case "completions": {
        const { printCompletionScript } = await import("./lib/config/completions.ts");
        await printCompletionScript(request.shell, print);
        return 0;
      }
      case "complete": {
        const { printCompletions } = await import("./lib/config/completions.ts");
        await printCompletions(request.words);
        return 0;
      }
      case "demo": {
        const { runDemo } = await import("./lib/demo/demo.ts");
        await runDemo({ stub: request.stub, laptop: request.laptop, stop: stop.drain });
        return 0;
      }
      case "check":
        return await check(request, stop);
      case "run":
        return await run(request, stop);
    }
  } catch (error) {
    const { messageOf } = await import("./lib/base/errors.ts");
    if (!(error instanceof UsageError)) {
      await complain(`${PROGRAM}: ${messageOf(error)}\n`);
      return 1;
    }
    const { problems, preventsStart, count, command } = error;
    const counted = count === 1 ? "1 problem" : `${count} problems`;
    const outcome = preventsStart ? `${counted}, nothing was started` : counted;
    const lines = problems.map((problem) => `  ${problem}\n`).join("");
    await complain(
      `${PROGRAM}: ${outcome}\n${lines}See "${
        [PROGRAM, ...command === undefined ? [] : [command], "--help"].join(" ")
      }"\n`,
    );
    return 2;
  }
}

/** `deno task start -- --flag` passes the `--` on. */
function withoutSeparator(args: readonly string[]): readonly string[] {
  return args[0] === "--" ? args.slice(1) : args;
}

/** Loads commander only for a command line that a Deployment would not have. */
async function readRequest(
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<import("./lib/config/command_line.ts").Request> {
  const { readPlainArguments } = await import("./lib/config/plain_arguments.ts");
  const flags = readPlainArguments(args);
  if (flags !== undefined) {
    const { runRequest } = await import("./lib/config/parse_settings.ts");
    return runRequest({ flags, variables });
  }
  const { parseCommandLine } = await import("./lib/config/command_line.ts");
  return parseCommandLine(args, variables);
}

async function run(
  { settings, overridden }: import("./lib/config/parse_settings.ts").RunRequest,
  stop: StopSignals,
): Promise<number> {
  const { systemClock: clock } = await import("./lib/base/clock.ts");
  const { systemRandom: random } = await import("./lib/base/random.ts");
  const { FatalError, messageOf, UsageError } = await import("./lib/base/errors.ts");
  const { openLog } = await import("./lib/ops/log_output.ts");
  const { prometheusMetrics } = await import("./lib/ops/prometheus.ts");
  const { processFacts } = await import("./lib/ops/process_facts.ts");
  const { adminPorts } = await import("./lib/ops/admin_server.ts");
  const { countDescriptors } = await import("./lib/ops/descriptors.ts");
  const { denoNetwork: network } = await import("./lib/proxy/deno_network.ts");
  const { denoTls: startTls } = await import("./lib/proxy/deno_tls.ts");
  const { loadUpstreamTls } = await import("./lib/target/upstream_tls.ts");
  const { loadCluster } = await import("./lib/kube/load_cluster.ts");
  const { systemMachine: machine, tlsMachine } = await import("./lib/kube/machine.ts");
  const { runApp } = await import("./lib/app.ts");
  const { log, flush } = await openLog({
    level: settings.logLevel,
    format: settings.logFormat,
    terminal: Deno.stderr.isTerminal(),
    colors: !Deno.noColor,
    clock,
    writer: Deno.stderr,
  });
  for (const { flag, variable, used } of overridden) {
    log.warn("flag_overridden", { flag, cause: `the variable ${variable} overrides it`, used });
  }
  // An uncaught error is a bug. It is logged with its stack, and the program continues, because builds may be running.
  const onBug = (error: unknown) => {
    const stack = error instanceof Error ? error.stack : undefined;
    log.error("internal_error", { cause: messageOf(error), stack });
  };
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    onBug(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    onBug(event.error);
  });
  try {
    if (settings.warm !== undefined) await (await import("./lib/base/temporal.ts")).loadZonedTimes();
    await runApp(settings, {
      version: await version(),
      runtime: Deno.version.deno,
      log,
      clock,
      random,
      network,
      countDescriptors,
      serveAdmin: adminPorts(network, { clock, log }),
      metrics: prometheusMetrics(processFacts(clock.wallMs())),
      readText: tlsMachine.readText,
      loadCluster: () => loadCluster(settings, { log, clock, machine }),
      loadUpstreamTls: () => loadUpstreamTls(settings, { log, clock, machine: tlsMachine, startTls }),
      stop,
      onListening: (addresses) => greet(addresses, settings),
    });
    return 0;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (!(error instanceof FatalError)) onBug(error);
    log.error("fatal_error", { cause: messageOf(error) });
    return 1;
  } finally {
    await flush(FLUSH_MS);
  }
}

/** Prints the doctor's report. Exit code 1: something failed. */
async function check(
  { settings, overridden, output }: import("./lib/config/command_line.ts").CheckRequest,
  stop: StopSignals,
): Promise<number> {
  const { systemClock: clock } = await import("./lib/base/clock.ts");
  const { systemRandom: random } = await import("./lib/base/random.ts");
  const { logTo } = await import("./lib/base/log.ts");
  const { denoNetwork: network } = await import("./lib/proxy/deno_network.ts");
  const { denoTls: startTls } = await import("./lib/proxy/deno_tls.ts");
  const { loadUpstreamTls } = await import("./lib/target/upstream_tls.ts");
  const { loadCluster } = await import("./lib/kube/load_cluster.ts");
  const { systemMachine: machine, tlsMachine } = await import("./lib/kube/machine.ts");
  const { isHealthy, reportJson, reportText } = await import("./lib/check/report.ts");
  const { runCheck } = await import("./lib/app/check_command.ts");
  // The findings say what matters.
  const log = logTo(() => {});
  await complainOfOverridden(overridden);
  const findings = await runCheck(settings, {
    clock,
    random,
    network,
    log,
    runtime: Deno.version.deno,
    readText: tlsMachine.readText,
    loadCluster: () => loadCluster(settings, { log, clock, machine }),
    loadUpstreamTls: () => loadUpstreamTls(settings, { log, clock, machine: tlsMachine, startTls }),
  }, stop.drain);
  await print(output === "json" ? reportJson(findings) : reportText(findings));
  return isHealthy(findings) ? 0 : 1;
}

/** Says which flags have no effect. */
async function complainOfOverridden(
  overridden: readonly import("./lib/config/parse_settings.ts").OverriddenFlag[],
): Promise<void> {
  const { PROGRAM } = await import("./lib/config/commands.ts");
  for (const { flag, variable } of overridden) {
    await complain(`${PROGRAM}: "${flag}" has no effect: the variable ${variable} overrides it\n`);
  }
}

/** Tells whoever sits at the terminal what to type. */
async function greet(
  { proxy, tls }: import("./lib/app.ts").ListeningAddresses,
  settings: import("./lib/config/settings.ts").Settings,
): Promise<void> {
  // With TLS alone each client needs files that only its user knows.
  if (!Deno.stdout.isTerminal() || proxy.port === tls?.port) return;
  const { greeting } = await import("./lib/app/greeting.ts");
  await print(greeting(proxy, settings));
}

/** How long writing the last lines of the log may take, in ms. */
const FLUSH_MS = 1000;

async function version(): Promise<string> {
  const { default: config } = await import("./deno.json", { with: { type: "json" } });
  return config.version;
}

/** Only a program made by `deno task compile` has a commit. */
async function describeVersion(): Promise<string> {
  const { default: config } = await import("./deno.json", { with: { type: "json" } });
  const { version, commit }: { readonly version: string; readonly commit?: string } = config;
  const made = commit === undefined ? [] : [`commit ${commit}`];
  return `${version} (${[...made, `deno ${Deno.version.deno}`, Deno.build.target].join(", ")})`;
}

function print(text: string): Promise<void> {
  return writeAll(Deno.stdout, text);
}

function complain(text: string): Promise<void> {
  return writeAll(Deno.stderr, text);
}

/** A closed pipe (`--help | head -1`) is not an error. */
async function writeAll(stream: { write(bytes: Uint8Array): Promise<number> }, text: string): Promise<void> {
  try {
    for (let rest = new TextEncoder().encode(text); rest.length > 0;) {
      rest = rest.subarray(await stream.write(rest));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

if (import.meta.main) {
  const stop = listenForSignals();
  // Reading the first stack opens source maps. Without free descriptors that would abort the process, so it is done
  // now.
  void new Error().stack;
  Deno.exit(await main(stop));
}
