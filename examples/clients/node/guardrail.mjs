// A client of guardrail's decision API (docs/api.md). A tool runs only where the service has admitted its call.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const WAIT = 30; // seconds that the service waits for people before it answers `waiting`
const ANSWER = 15_000; // milliseconds that an answer may take beyond that

/** A tool throws this where it has not started: what it would have spent is given back. */
export class NotStarted extends Error {}

/** The service refuses the request itself, as with a wrong token. Asking again does not help. */
export class Refused extends Error {}

/** The service could not be asked for as long as we were patient. */
export class Unavailable extends Error {}

export class Guardrail {
  #url;
  #headers;
  #patience;

  /** `patience`: seconds to wait for people, for another worker that runs the call, and for a service that is down. */
  constructor(url, token, { patience = 600 } = {}) {
    this.#url = url.replace(/\/$/, "");
    this.#headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    this.#patience = patience * 1000;
  }

  /**
   * Run a tool for a call, once, whoever asks for an equal call and however often.
   *
   * `run` and `call` are the idempotency key: take them from what is to be done, not from when it is tried
   * (other arguments are another call all the same). `tool` gets
   * the arguments that were judged. The answer is the call's standing: only where its `state` is `returned` is there a
   * `result`; otherwise its `text` says why not.
   */
  async run(call, tool) {
    // A fresh word, kept nowhere: whoever says it again gets the same lease. After a crash nobody knows it, so
    // that a call which had been started reads `running`, then `unknown`, and is not run a second time.
    const attempt = randomUUID();
    const until = performance.now() + this.#patience;
    const standing = await this.#propose({ ...call, attempt }, until);
    if (standing.state !== "admitted") return standing;
    const said = await this.#perform(standing, tool);
    const settled = await this.#settle(standing, said);
    // The end was known before, or seen too late: this answer holds no result, and the call's standing tells.
    if (settled.repeated && settled.state === "returned") return this.#propose(call, until);
    return settled;
  }

  async #propose(proposal, until) {
    for (;;) {
      const left = Math.max(0, until - performance.now()) / 1000;
      const standing = await this.#post("/v1/calls", { ...proposal, wait: Math.min(WAIT, left) }, until);
      if (standing.state !== "waiting" && standing.state !== "running") return standing;
      if (performance.now() + standing.retry_after * 1000 > until) return standing; // may be proposed again later
      await sleep(standing.retry_after * 1000);
    }
  }

  /** Run the tool under its lease, and say how that ended. */
  async #perform({ call, arguments: args, lease, lease_seconds }, tool) {
    const renew = () => this.#once(`/v1/calls/${call}/lease`, { lease }); // one that fails is no harm: the next may not
    const renewing = setInterval(renew, Math.max(1000, (lease_seconds * 1000) / 3));
    try {
      return { how: "returned", result: (await tool(args)) ?? null };
    } catch (error) {
      const message = String(error?.message ?? error).slice(0, 2000).toWellFormed();
      return { how: error instanceof NotStarted ? "did_not_run" : "raised", message };
    } finally {
      clearInterval(renewing);
    }
  }

  /** The tool has ended, so this is said for as long as it takes, to a service that may have been started anew. */
  async #settle({ call, lease }, said) {
    const until = performance.now() + this.#patience;
    const say = (what) => this.#post(`/v1/calls/${call}/outcome`, { lease, ...what }, until);
    try {
      return await say(said);
    } catch (error) {
      if (error instanceof Unavailable || said.how !== "returned") throw error;
      return say({ how: "returned", result: "(the result cannot be passed on)" }); // too large, or no JSON
    }
  }

  /** Ask until there is an answer. The same words again change nothing: that is what `attempt` and `lease` are for. */
  async #post(path, body, until) {
    for (let pause = 100; ; pause = Math.min(2 * pause, 5000)) {
      const { status, answer } = await this.#once(path, body);
      if (status === 200 && answer.state) return answer;
      const { message = "no answer", fix = "" } = answer.error ?? {};
      // 409: until the ledger has noticed that an instance died, another one may not settle its calls.
      const passes = status === 0 || status === 200 || status >= 500 || [408, 409, 429].includes(status);
      if (!passes) throw new Refused(`${status} ${message}. ${fix}`.trim());
      if (performance.now() + pause > until) throw new Unavailable(`${path}: ${status || ""} ${message}`);
      await sleep(pause);
    }
  }

  /** One request; status 0 where nobody answered. */
  async #once(path, body) {
    const request = { method: "POST", headers: this.#headers, body: JSON.stringify(body), redirect: "manual" };
    let status = 0;
    try {
      const signal = AbortSignal.timeout(Math.ceil((body.wait ?? 0) * 1000) + ANSWER);
      const response = await fetch(this.#url + path, { ...request, signal });
      status = response.status;
      return { status, answer: (await response.json()) ?? {} };
    } catch (error) {
      return { status, answer: { error: { message: error.cause?.message ?? error.message } } };
    }
  }
}
