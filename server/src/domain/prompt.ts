import type { ContextAttachment, Task } from "@agent-manager/sdk/proto";

/** What the agent is given: the task's prompt, then the parts of the project it is about, then the material. */
export function composePrompt(task: Pick<Task, "prompt" | "scopePaths" | "context">): string {
  const scope =
    task.scopePaths.length > 0 ? [`Work only on these paths of the project:\n${list(task.scopePaths)}`] : [];
  return [task.prompt, ...scope, ...task.context.map(describeAttachment)].join("\n\n");
}

function describeAttachment({ key, label, tag, content }: ContextAttachment): string {
  const title = `Context "${label || key}"${tag ? ` (${tag})` : ""}`;
  switch (content.case) {
    case "file":
      return `${title}: see the file ${content.value}`;
    case "link":
      return `${title}: see ${content.value}`;
    case "note":
      return `${title}:\n${content.value}`;
    case undefined:
      return title;
    default:
      return content satisfies never;
  }
}

function list(paths: readonly string[]): string {
  return paths.map((path) => `- ${path}`).join("\n");
}
