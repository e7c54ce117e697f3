import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          globalSetup: ["test/support/postgres-broker.ts"],
          include: ["sdk/src/**/*.test.ts", "server/src/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "e2e",
          globalSetup: ["test/support/postgres-broker.ts"],
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "faults",
          // no shared Postgres: each file has its own, which no other file's servers fill up
          globalSetup: ["test/faults/support/suite-seed.ts"],
          include: ["test/faults/**/*.test.ts"],
          maxWorkers: 2,
          testTimeout: 1_200_000,
          hookTimeout: 120_000,
        },
      },
      { test: { name: "runners", include: ["test/runners/**/*.test.ts"], testTimeout: 300_000, hookTimeout: 300_000 } },
    ],
  },
});
