import type { Item } from "./draft.js";
import { type Json, object, objects, text } from "./frame.js";

interface Entry {
  readonly text: string;
  readonly status: string;
}

/**
 * The agent's plan. TodoWrite gives the whole list at once; TaskCreate and TaskUpdate change one entry, whose
 * number only the result tells, so entries follow results.
 */
export class Plan {
  readonly #entries = new Map<string, Entry>();

  /** The plan after the result of a planning tool; nothing if it did not change. */
  afterResult(tool: string, input: Json, result: Json): readonly Item[] {
    switch (tool) {
      case "TodoWrite":
        this.#replace(objects(input, "todos"));
        return [this.#item()];
      case "TaskCreate":
        return this.#create(text(object(result, "task"), "id"), text(input, "subject"));
      case "TaskUpdate":
        return this.#update(text(input, "taskId"), text(input, "status"), text(input, "subject"));
      default:
        return [];
    }
  }

  #replace(todos: readonly Json[]): void {
    this.#entries.clear();
    for (const [index, todo] of todos.entries()) {
      this.#entries.set(String(index), { text: text(todo, "content"), status: text(todo, "status") || "pending" });
    }
  }

  #create(id: string, subject: string): readonly Item[] {
    if (id === "") return [];
    this.#entries.set(id, { text: subject, status: "pending" });
    return [this.#item()];
  }

  #update(id: string, status: string, subject: string): readonly Item[] {
    const entry = this.#entries.get(id);
    if (entry === undefined) return [];
    if (status === "deleted") this.#entries.delete(id);
    else this.#entries.set(id, { text: subject || entry.text, status: status || entry.status });
    return [this.#item()];
  }

  #item(): Item {
    return { itemId: "plan", event: { case: "plan", value: { entries: [...this.#entries.values()] } } };
  }
}
