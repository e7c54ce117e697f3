import { describeConfig, loadConfig } from "../../config.js";
import type { RegisterCommand } from "../register.js";
import { printTable } from "../table.js";

export const addConfigCommand: RegisterCommand = (program, withContext) => {
  program
    .command("config")
    .description("Show the configuration that `serve` would use here, and where each value comes from.")
    .action(
      withContext((context) => {
        const flags = context.globals.dataDir === undefined ? {} : { dataDir: context.globals.dataDir };
        const settings = describeConfig(loadConfig(flags, context.env));
        if (context.globals.json) {
          for (const setting of settings) {
            context.printJson(setting);
          }
          return;
        }
        printTable(
          context,
          ["SETTING", "SOURCE", "VALUE"],
          settings.map(({ name, source, value }) => [name, source, value]),
        );
      }),
    );
};
