import { DeltaChannel } from "@agent-manager/sdk/proto";
import type { Delta } from "./draft.js";
import { type Frame, type Json, number, object, text } from "./frame.js";

interface Block {
  readonly index: number;
  readonly type: string;
  readonly itemId: string;
  final: boolean;
}

interface OpenMessage {
  readonly id: string;
  readonly blocks: Block[];
}

/**
 * Gives each block of a message its item id, the same for its deltas and for its final value. The stream numbers
 * blocks; the final frames come one block each without a number, so a final block takes the first streamed one of
 * its type that has no final value yet, and the next free number if there was no stream.
 */
export class BlockIds {
  /** The message being written, per conversation: the main one is "", a sub-agent's is the call that started it. */
  readonly #open = new Map<string, OpenMessage>();

  /** The deltas of a stream_event frame. */
  stream(frame: Frame): readonly Delta[] {
    const event = object(frame.json, "event");
    const conversation = text(frame.json, "parent_tool_use_id");
    switch (text(event, "type")) {
      case "message_start":
        this.#message(conversation, text(object(event, "message"), "id"));
        return [];
      case "content_block_start":
        this.#start(conversation, number(event, "index"), object(event, "content_block"));
        return [];
      case "content_block_delta":
        return this.#delta(conversation, number(event, "index"), object(event, "delta"));
      default:
        return [];
    }
  }

  /** The item id of a final block. */
  take(frame: Frame, block: Json): string {
    const message = this.#message(text(frame.json, "parent_tool_use_id"), text(object(frame.json, "message"), "id"));
    const type = text(block, "type");
    const toolId = text(block, "id");
    const streamed = message.blocks.find(
      (it) => !it.final && it.type === type && (toolId === "" || it.itemId === toolId),
    );
    const taken = streamed ?? this.#add(message, nextIndex(message), block);
    taken.final = true;
    return taken.itemId;
  }

  #message(conversation: string, id: string): OpenMessage {
    const open = this.#open.get(conversation);
    if (open?.id === id) return open;
    const message = { id, blocks: [] };
    this.#open.set(conversation, message);
    return message;
  }

  #start(conversation: string, index: number, block: Json | undefined): void {
    const message = this.#open.get(conversation);
    if (message !== undefined && block !== undefined) this.#add(message, index, block);
  }

  #add(message: OpenMessage, index: number, block: Json): Block {
    const itemId = text(block, "id") || `${message.id}/${index}`;
    const added = { index, type: text(block, "type"), itemId, final: false };
    message.blocks.push(added);
    return added;
  }

  #delta(conversation: string, index: number, delta: Json | undefined): readonly Delta[] {
    const block = this.#open.get(conversation)?.blocks.find((it) => it.index === index);
    const channel = channels.get(text(delta, "type"));
    if (block === undefined || channel === undefined) return [];
    const added = text(delta, channel.key);
    return added === "" ? [] : [{ itemId: block.itemId, channel: channel.channel, text: added }];
  }
}

function nextIndex(message: OpenMessage): number {
  return message.blocks.reduce((next, block) => Math.max(next, block.index + 1), 0);
}

const channels = new Map([
  ["text_delta", { channel: DeltaChannel.MESSAGE, key: "text" }],
  ["thinking_delta", { channel: DeltaChannel.REASONING, key: "thinking" }],
  ["input_json_delta", { channel: DeltaChannel.TOOL_INPUT, key: "partial_json" }],
]);
