import { resolve } from "node:path";
import type { Task } from "@agent-manager/sdk";
import { TaskSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import type { Context } from "../context.js";
import { collect, collectLabel } from "../options.js";
import type { RegisterCommand } from "../register.js";
import { printTable } from "../table.js";
import { safeJson } from "../untrusted.js";
import { ago, taskStateWord } from "../words.js";

interface ListFlags {
  readonly label?: Record<string, string>;
  readonly project?: string;
}

interface CreateFlags extends ListFlags {
  readonly title?: string;
  readonly scope?: readonly string[];
}

export const addTasksCommand: RegisterCommand = (program, withContext) => {
  const tasks = program.command("tasks").description("List and keep tasks: what is to be done, and where.");
  tasks
    .command("list", { isDefault: true })
    .description("List tasks, newest first.")
    .option("--label <key=value>", "only tasks with this label; may be repeated", collectLabel)
    .option("--project <dir>", "only tasks of this project")
    .action(withContext(listTasks));
  tasks
    .command("get <id>")
    .description("Show one task.")
    .action(
      withContext(async (context, taskId: string) => {
        const am = await context.connect();
        const task = await am.tasks.get(taskId);
        am.close();
        printTask(context, task);
      }),
    );
  tasks
    .command("create <prompt>")
    .description("Create a task without running it.")
    .option("--project <dir>", "the project's folder (default: the current one)")
    .option("--title <text>", "a line for people (default: the prompt's first line)")
    .option("--scope <path>", "a part of the project that it is about; may be repeated", collect)
    .option("--label <key=value>", "a label; may be repeated", collectLabel)
    .action(withContext(createTask));
  tasks
    .command("cancel <id>")
    .description("Cancel a task and ask its runs to stop.")
    .action(
      withContext(async (context, taskId: string) => {
        const am = await context.connect();
        const task = await am.tasks.cancel(taskId);
        am.close();
        printTask(context, task);
      }),
    );
  tasks
    .command("delete <id>")
    .description("Delete a task that has no runs.")
    .action(
      withContext(async (context, taskId: string) => {
        const am = await context.connect();
        await am.tasks.delete(taskId);
        am.close();
        context.terminal.note(`deleted task ${taskId}`);
      }),
    );
};

async function listTasks(context: Context, flags: ListFlags): Promise<void> {
  const am = await context.connect();
  const filter = {
    ...(flags.label === undefined ? {} : { labels: flags.label }),
    ...(flags.project === undefined ? {} : { projectRoot: resolve(flags.project) }),
  };
  const rows: (readonly string[])[] = [];
  for await (const task of am.tasks.list(filter)) {
    if (context.globals.json) {
      context.printJson(toJson(TaskSchema, task));
    }
    rows.push([task.taskId, taskStateWord(task.state), ago(task.createTime), task.title]);
  }
  am.close();
  if (!context.globals.json) {
    printTable(context, ["TASK", "STATE", "AGE", "TITLE"], rows);
  }
}

async function createTask(context: Context, prompt: string, flags: CreateFlags): Promise<void> {
  const am = await context.connect();
  const task = await am.tasks.create({
    prompt,
    projectRoot: resolve(flags.project ?? "."),
    scopePaths: [...(flags.scope ?? [])],
    labels: flags.label ?? {},
    ...(flags.title === undefined ? {} : { title: flags.title }),
  });
  am.close();
  printTask(context, task);
}

function printTask(context: Context, task: Task): void {
  const json = toJson(TaskSchema, task);
  if (context.globals.json) {
    context.printJson(json);
  } else {
    context.print(safeJson(JSON.stringify(json, undefined, 2)));
  }
}
