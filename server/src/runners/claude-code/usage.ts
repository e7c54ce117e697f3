import { CostSource } from "@agent-manager/sdk/proto";
import type { Item } from "./draft.js";
import { count, type Json, number, object, text, uint32 } from "./frame.js";

interface Totals {
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly cacheReadTokens: bigint;
  readonly cacheWriteTokens: bigint;
  readonly costUsd: number;
}

interface Step {
  readonly model: string;
  /** What the model used since the result before. */
  readonly delta: Totals;
  readonly contextWindow: bigint;
}

const zero: Totals = { inputTokens: 0n, outputTokens: 0n, cacheReadTokens: 0n, cacheWriteTokens: 0n, costUsd: 0 };

/**
 * Turns result frames into usage. `modelUsage` is cumulative over the process and holds what `total_cost_usd`
 * prices; `usage` is of the turn alone and stays at zero when the turn was interrupted or the budget ran out, so
 * it only serves where `modelUsage` is missing. A resumed session starts from zero again.
 */
export class UsageLedger {
  readonly #models = new Map<string, Totals>();
  #turns = 0;

  /** Cost in US dollars so far. */
  get spentUsd(): number {
    return this.#total().costUsd;
  }

  /** One usage event per model that was used since the last result. */
  afterResult(result: Json): readonly Item[] {
    const turns = uint32(result, "num_turns");
    const tier = text(object(result, "usage"), "service_tier");
    const steps = this.#steps(result);
    const used = steps.filter(({ delta }) => !isZero(delta));
    // Turns count even when the provider charged nothing for them.
    const kept = used.length === 0 && turns > 0 ? steps.slice(0, 1) : used;
    return kept.map((step, index) => this.#event(step, index === 0 ? turns : 0, tier));
  }

  #event({ model, delta, contextWindow }: Step, turns: number, serviceTier: string): Item {
    this.#turns = Math.min(this.#turns + turns, 0xffff_ffff);
    this.#models.set(model, add(this.#models.get(model) ?? zero, delta));
    const costSource = CostSource.RUNNER;
    const value = {
      delta: { ...delta, costSource, turns },
      total: { ...this.#total(), costSource, turns: this.#turns },
      model,
      serviceTier,
      contextWindowTokens: contextWindow,
    };
    return { event: { case: "usage", value } };
  }

  #total(): Totals {
    return [...this.#models.values()].reduce(add, zero);
  }

  #steps(result: Json): readonly Step[] {
    const models = Object.keys(object(result, "modelUsage") ?? {});
    if (models.length === 0) return [{ model: "", delta: this.#turnOnly(result), contextWindow: 0n }];
    return models.map((model) => {
      const usage = object(object(result, "modelUsage"), model);
      const delta = subtract(modelTotals(usage), this.#models.get(model) ?? zero);
      return { model, delta, contextWindow: count(usage, "contextWindow") };
    });
  }

  #turnOnly(result: Json): Totals {
    const usage = object(result, "usage");
    return {
      inputTokens: count(usage, "input_tokens"),
      outputTokens: count(usage, "output_tokens"),
      cacheReadTokens: count(usage, "cache_read_input_tokens"),
      cacheWriteTokens: count(usage, "cache_creation_input_tokens"),
      costUsd: Math.max(number(result, "total_cost_usd") - this.#total().costUsd, 0),
    };
  }
}

function modelTotals(usage: Json | undefined): Totals {
  return {
    inputTokens: count(usage, "inputTokens"),
    outputTokens: count(usage, "outputTokens"),
    cacheReadTokens: count(usage, "cacheReadInputTokens"),
    cacheWriteTokens: count(usage, "cacheCreationInputTokens"),
    costUsd: Math.max(number(usage, "costUSD"), 0),
  };
}

function add(a: Totals, b: Totals): Totals {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    cacheReadTokens: a.cacheReadTokens + b.cacheReadTokens,
    cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
    costUsd: a.costUsd + b.costUsd,
  };
}

function subtract(a: Totals, b: Totals): Totals {
  return {
    inputTokens: a.inputTokens - b.inputTokens,
    outputTokens: a.outputTokens - b.outputTokens,
    cacheReadTokens: a.cacheReadTokens - b.cacheReadTokens,
    cacheWriteTokens: a.cacheWriteTokens - b.cacheWriteTokens,
    costUsd: a.costUsd - b.costUsd,
  };
}

function isZero(totals: Totals): boolean {
  const tokens = totals.inputTokens + totals.outputTokens + totals.cacheReadTokens + totals.cacheWriteTokens;
  return tokens === 0n && totals.costUsd === 0;
}
