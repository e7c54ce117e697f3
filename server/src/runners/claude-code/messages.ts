import { Role } from "@agent-manager/sdk/proto";
import type { BlockIds } from "./block-ids.js";
import { type Item, native, progress } from "./draft.js";
import { fileChange } from "./file-change.js";
import { asObject, type Frame, type Json, jsonText, object, objects, text } from "./frame.js";
import { Plan } from "./plan.js";
import { toolCall } from "./tools.js";

/** The model's name on what the program itself says in the model's place. */
const synthetic = "<synthetic>";

/** The events of assistant and user frames. Remembers open tool calls, since a result does not name its tool. */
export class Messages {
  readonly #ids: BlockIds;
  readonly #plan = new Plan();
  readonly #calls = new Map<string, { readonly name: string; readonly input: Json }>();

  constructor(ids: BlockIds) {
    this.#ids = ids;
  }

  assistant(frame: Frame): readonly Item[] {
    const message = object(frame.json, "message");
    const content = message?.content;
    if (typeof content === "string") return [this.#text(frame, { type: "text", text: content })];
    const blocks = objects(message, "content");
    return blocks.length === 0 ? [native(frame)] : blocks.flatMap((block) => this.#assistantBlock(frame, block));
  }

  user(frame: Frame): readonly Item[] {
    const content = object(frame.json, "message")?.content;
    // A replay repeats what we wrote ourselves.
    if (frame.json.isReplay === true) return [];
    if (typeof content === "string") return [userText(frame, content)];
    const blocks = objects(object(frame.json, "message"), "content");
    return blocks.length === 0 ? [native(frame)] : blocks.flatMap((block) => this.#userBlock(frame, block));
  }

  #assistantBlock(frame: Frame, block: Json): readonly Item[] {
    switch (text(block, "type")) {
      case "text":
        return [this.#text(frame, block)];
      case "thinking":
        return [this.#reasoning(frame, block, false)];
      case "redacted_thinking":
        return [this.#reasoning(frame, block, true)];
      case "tool_use":
      case "server_tool_use":
      case "mcp_tool_use":
        this.#calls.set(text(block, "id"), { name: text(block, "name"), input: object(block, "input") ?? {} });
        this.#ids.take(frame, block);
        return [toolCall(block)];
      default:
        this.#ids.take(frame, block);
        // Tools that the provider runs itself answer within the assistant's message.
        return text(block, "tool_use_id") === "" ? [native(frame)] : this.#result(frame, block);
    }
  }

  #text(frame: Frame, block: Json): Item {
    const model = text(object(frame.json, "message"), "model");
    const role = model === synthetic ? Role.SYSTEM : Role.ASSISTANT;
    const value = { role, text: text(block, "text"), model: model === synthetic ? "" : model };
    return { itemId: this.#ids.take(frame, block), event: { case: "message", value } };
  }

  #reasoning(frame: Frame, block: Json, redacted: boolean): Item {
    const value = { text: text(block, "thinking"), redacted };
    return { itemId: this.#ids.take(frame, block), event: { case: "reasoning", value } };
  }

  #userBlock(frame: Frame, block: Json): readonly Item[] {
    switch (text(block, "type")) {
      case "tool_result":
        return this.#result(frame, block);
      case "text":
        return [userText(frame, text(block, "text"))];
      case "image":
      case "document":
        return [userText(frame, `[${text(block, "type")}]`)];
      default:
        return [native(frame)];
    }
  }

  #result(frame: Frame, block: Json): readonly Item[] {
    const itemId = text(block, "tool_use_id");
    const call = this.#calls.get(itemId);
    this.#calls.delete(itemId);
    const structured = frame.json.tool_use_result;
    const isError = block.is_error === true;
    const value = { text: contentText(block.content), isError, resultJson: jsonText(structured) };
    const item: Item = { itemId, event: { case: "toolResult", value } };
    const result = asObject(structured) ?? {};
    if (isError || call === undefined) return [item];
    return [item, ...fileChange(itemId, result), ...this.#plan.afterResult(call.name, call.input, result)];
  }
}

function userText(frame: Frame, content: string): Item {
  if (content.startsWith("[Request interrupted by user")) return progress("interrupted", content);
  const role = frame.json.isSynthetic === true || frame.json.isMeta === true ? Role.SYSTEM : Role.USER;
  return { event: { case: "message", value: { role, text: content } } };
}

/** The text of a tool's answer; what is no text is named in brackets and stays whole in the structured result. */
function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return jsonText(content);
  return content
    .map((part: unknown) => {
      const block = asObject(part);
      return text(block, "type") === "text" ? text(block, "text") : `[${text(block, "type") || "unknown"}]`;
    })
    .join("\n");
}
