/**
 * A real Chromium without a window, driven through its DevTools protocol: opens pages, evaluates in them, and takes
 * screenshots. Needs the program `chromium` (Debian's package of that name), and nothing else.
 *
 * @see https://chromedevtools.github.io/devtools-protocol/
 * @module
 */

/** How long a step may take before it is taken for a hang, in ms. */
const HANG_MS = 60_000;

/** Names under which it is installed. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The path of an installed Chromium; undefined without one. */
export async function findChromium(): Promise<string | undefined> {
  for (const name of NAMES) {
    const { success, stdout } = await new Deno.Command("sh", { args: ["-c", `command -v ${name}`] }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
  }
  return undefined;
}

/** What a page is opened with. */
export interface PageOptions {
  /** `light`. */
  readonly scheme?: "light" | "dark";
  /** True. */
  readonly scripts?: boolean;
  /** 1280 × 900. */
  readonly width?: number;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly sessionId?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** A running Chromium. Dispose of it. */
export class Chromium implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  readonly #listeners = new Set<(message: Message) => void>();
  #lastId = 0;

  private constructor(process: Deno.ChildProcess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(data)));
  }

  /** Starts it. */
  static async start(path: string): Promise<Chromium> {
    const profile = await Deno.makeTempDir({ prefix: "chromium-" });
    const process = new Deno.Command(path, {
      args: [
        "--headless=new",
        "--remote-debugging-port=0",
        `--user-data-dir=${profile}`,
        "--no-sandbox", // refuses to run as root with it
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--hide-scrollbars",
        "about:blank",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const socket = new WebSocket(await debuggerUrl(process.stderr));
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", reject, { once: true });
    });
    return new Chromium(process, profile, socket);
  }

  /** Sends a command, and resolves with its result. */
  async send(
    method: string,
    params: Record<string, unknown> = {},
    sessionId?: string,
  ): Promise<Record<string, unknown>> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Record<string, unknown>>();
    this.#answers.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }));
    const timer = setTimeout(() => answer.reject(new Error(`Chromium does not answer ${method}`)), HANG_MS);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Opens a page. */
  async open(url: string, options: PageOptions = {}): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, String(sessionId), String(targetId));
    await page.prepare(options);
    await page.go(url);
    return page;
  }

  /** Calls `listener` with every event, until the returned function is called. */
  listen(listener: (message: Message) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.addEventListener("close", resolve, { once: true }));
    await this.send("Browser.close").catch(() => {});
    await closed;
    await this.#process.status;
    await Deno.remove(this.#profile, { recursive: true });
  }

  #take(message: Message): void {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const answer = this.#answers.get(message.id);
    this.#answers.delete(message.id);
    if (message.error === undefined) answer?.resolve(message.result ?? {});
    else answer?.reject(new Error(message.error.message));
  }
}

/** One page. */
export class Page {
  /** What went wrong in it: exceptions, errors on the console, and breaches of its policy. */
  readonly problems: string[] = [];
  readonly #chromium: Chromium;
  readonly #session: string;
  readonly #target: string;
  readonly #unlisten: () => void;

  constructor(chromium: Chromium, session: string, target: string) {
    this.#chromium = chromium;
    this.#session = session;
    this.#target = target;
    this.#unlisten = chromium.listen(({ method, params, sessionId }) => {
      if (sessionId !== session) return;
      if (method === "Runtime.exceptionThrown") this.problems.push(JSON.stringify(params));
      const entry = params?.["entry"] as { readonly level?: string; readonly text?: string } | undefined;
      if (method === "Log.entryAdded" && entry?.level === "error") this.problems.push(String(entry.text));
    });
  }

  /** Sets it up. */
  async prepare({ scheme = "light", scripts = true, width = 1280 }: PageOptions): Promise<void> {
    for (const domain of ["Page", "Runtime", "Log"]) await this.#send(`${domain}.enable`);
    await this.#send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
    await this.#send("Emulation.setScriptExecutionDisabled", { value: !scripts });
    const metrics = { width, height: 900, deviceScaleFactor: 1, mobile: false };
    await this.#send("Emulation.setDeviceMetricsOverride", metrics);
  }

  /** Loads an address. */
  async go(url: string): Promise<void> {
    const loaded = this.#event("Page.loadEventFired");
    await this.#send("Page.navigate", { url });
    await loaded;
  }

  /** Evaluates an expression in the page, and resolves with its value. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { readonly value: T }).value;
  }

  /** The text of an element as it is shown. */
  text(selector: string): Promise<string> {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`);
  }

  /** Resolves once the text of an element matches. */
  async until(selector: string, pattern: RegExp): Promise<string> {
    const endMs = performance.now() + HANG_MS;
    for (;;) {
      const text = await this.text(selector);
      if (pattern.test(text)) return text;
      if (performance.now() > endMs) {
        throw new Error(`${selector} is ${JSON.stringify(text)}, want ${pattern}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Presses a key, such as `Tab`. */
  async press(key: string): Promise<void> {
    const codes: Record<string, number> = { Tab: 9, Enter: 13 };
    const event = {
      key,
      code: key,
      windowsVirtualKeyCode: codes[key],
      ...(key === "Enter" && { text: "\r" }),
    };
    await this.#send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** A picture of the whole page, or of its first rows of pixels, as PNG. */
  async screenshot(most = Infinity): Promise<Uint8Array> {
    const { cssContentSize } = await this.#send("Page.getLayoutMetrics");
    const { width, height } = cssContentSize as { readonly width: number; readonly height: number };
    const clip = { x: 0, y: 0, width, height: Math.min(height, most), scale: 1 };
    const { data } = await this.#send("Page.captureScreenshot", { captureBeyondViewport: true, clip });
    return Uint8Array.from(atob(String(data)), (character) => character.charCodeAt(0));
  }

  /** What a screen reader is told: role and name of each node. */
  async accessible(): Promise<readonly { readonly role: string; readonly name: string }[]> {
    await this.#send("Accessibility.enable");
    const { nodes } = await this.#send("Accessibility.getFullAXTree");
    type Node = { ignored: boolean; role?: { value: string }; name?: { value: string } };
    return (nodes as Node[]).filter(({ ignored }) => !ignored)
      .map(({ role, name }) => ({ role: role?.value ?? "", name: name?.value ?? "" }));
  }

  /** Closes it. */
  async close(): Promise<void> {
    this.#unlisten();
    await this.#chromium.send("Target.closeTarget", { targetId: this.#target });
  }

  #send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return this.#chromium.send(method, params, this.#session);
  }

  #event(method: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No ${method} of the page`)), HANG_MS);
      const unlisten = this.#chromium.listen((message) => {
        if (message.method !== method || message.sessionId !== this.#session) return;
        clearTimeout(timer);
        unlisten();
        resolve();
      });
    });
  }
}

/** The address that Chromium says it listens on. Goes on reading, so that it is never blocked. */
async function debuggerUrl(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Chromium ended: ${said}`);
    said += value;
    const url = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
    if (url === undefined) continue;
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return url;
  }
}
