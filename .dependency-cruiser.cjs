// The arrows between folders, enforced: see docs/architecture.md.
const server = (folder) => `^server/src/${folder}/`;

/** Allows a folder of the server to import only itself, the listed folders and packages. */
const may = (folder, ...targets) => ({
  name: `${folder}-imports`,
  severity: "error",
  comment: `server/src/${folder} may import only: ${[folder, ...targets].join(", ")}`,
  from: { path: server(folder), pathNot: "\\.test\\.ts$" },
  to: { path: "^server/src/", pathNot: [server(folder), ...targets.map(server), "^server/src/failpoint\\.ts$"] },
});

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    may("domain"),
    may("database", "domain"),
    may("security", "domain"),
    may("store", "domain", "database"),
    may("log", "domain", "store", "database"),
    may("runners", "domain"),
    may("sandbox", "domain"),
    may("review", "domain", "sandbox"),
    may("execution", "domain", "store", "log", "runners", "sandbox", "review", "security"),
    may("services", "domain", "store", "log", "runners", "sandbox", "review", "execution", "database", "security"),
    may("transport", "domain", "security"),
    {
      name: "cli-uses-the-sdk-only",
      severity: "error",
      comment: "commands talk to the service as every other consumer does; `serve` loads main.ts",
      from: { path: server("cli"), pathNot: "\\.test\\.ts$" },
      to: { path: "^server/src/", pathNot: [server("cli"), "^server/src/(main|config)\\.ts$"] },
    },
    {
      name: "only-main-knows-every-part",
      severity: "error",
      from: { path: "^server/src/[a-z-]+/", pathNot: [server("cli"), "\\.test\\.ts$"] },
      to: { path: "^server/src/main\\.ts$" },
    },
    {
      name: "supervisor-stands-alone",
      severity: "error",
      comment: "the supervisor is one bundled file without database or packages",
      from: { path: "^server/src/execution/supervisor/", pathNot: "\\.test\\.ts$" },
      to: {
        path: ["^server/src/", "node_modules"],
        pathNot: ["^server/src/execution/(supervisor|spool)/", "^server/src/failpoint\\.ts$", "@types/node"],
      },
    },
    { name: "sdk-knows-no-server", severity: "error", from: { path: "^sdk/" }, to: { path: "^server/" } },
    {
      name: "no-test-code-in-the-product",
      severity: "error",
      from: { path: "^(sdk|server)/src/", pathNot: "\\.test\\.ts$" },
      to: { path: ["^test/", "\\.test\\.ts$"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/|^sdk/src/gen/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "server/tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types", "default"] },
  },
};
