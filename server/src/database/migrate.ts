import { type Kysely, type Migration, Migrator, sql } from "kysely";
import { StartError } from "../domain/start-error.js";

/**
 * Brings the schema up to date, one process at a time. Throws StartError if the database was written by a newer
 * version of this program, or if a migration fails; the schema is then as it was.
 */
export async function migrate<DB>(db: Kysely<DB>, migrations: Readonly<Record<string, Migration>>): Promise<void> {
  await db.connection().execute(async (connection) => {
    // waiting for another process's migration, or for an index on a large table, may take its time
    await sql`set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0`.execute(
      connection,
    );
    try {
      await refuseNewerSchema(connection, migrations);
      await migrateToLatest(connection, migrations);
    } finally {
      await sql`reset statement_timeout; reset lock_timeout; reset idle_in_transaction_session_timeout`.execute(
        connection,
      );
    }
  });
}

async function migrateToLatest<DB>(db: Kysely<DB>, migrations: Readonly<Record<string, Migration>>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) } });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) {
    await refuseNewerSchema(db, migrations); // a newer version may have migrated while this one waited
    const failed = results?.find(({ status }) => status === "Error")?.migrationName;
    const problem = error instanceof Error ? error.message : String(error);
    throw new StartError(`the database schema cannot be brought up to date${failed ? ` (${failed})` : ""}: ${problem}`);
  }
}

async function refuseNewerSchema<DB>(db: Kysely<DB>, migrations: Readonly<Record<string, Migration>>): Promise<void> {
  const { rows: tables } = await sql<{ present: boolean }>`
    select to_regclass('kysely_migration') is not null as present`.execute(db);
  if (tables[0]?.present !== true) {
    return;
  }
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  const unknown = rows.find(({ name }) => !(name in migrations));
  if (unknown !== undefined) {
    throw new StartError(
      `the database schema is newer than this program: it has the migration ${unknown.name}, which this version does ` +
        "not know; start the newer version again, or use another database or data directory",
    );
  }
}
