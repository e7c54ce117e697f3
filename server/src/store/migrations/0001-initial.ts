import { type Kysely, type Migration, sql } from "kysely";

/**
 * Time-ordered UUIDs are primary keys, so "newest first" is a backward scan of the key. `labels` have GIN
 * indexes for containment. run_log is apart from run and leaves room on its pages, because every append
 * updates it and nothing else reads it.
 */
export const initial: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table agent_profile (
        profile_id uuid primary key,
        create_time timestamptz not null,
        update_time timestamptz not null,
        version integer not null default 1,
        key text not null unique,
        display_name text not null,
        description text not null,
        config jsonb not null
      )`.execute(db);

    await sql`
      create table task (
        task_id uuid primary key,
        create_time timestamptz not null,
        update_time timestamptz not null,
        version integer not null default 1,
        title text not null,
        prompt text not null,
        project_root text not null,
        scope_paths jsonb not null,
        context jsonb not null,
        labels jsonb not null,
        state smallint not null
      )`.execute(db);
    await sql`create index task_labels on task using gin (labels jsonb_path_ops)`.execute(db);
    await sql`create index task_project on task (project_root, task_id)`.execute(db);

    await sql`
      create table policy (
        policy_id uuid primary key,
        create_time timestamptz not null,
        update_time timestamptz not null,
        version integer not null default 1,
        name text not null unique,
        description text not null,
        priority integer not null,
        enabled boolean not null,
        selector jsonb not null,
        rules jsonb not null
      )`.execute(db);

    await sql`
      create table run (
        run_id uuid primary key,
        create_time timestamptz not null,
        update_time timestamptz not null,
        version bigint not null default 1,
        task_id uuid not null references task,
        profile_id uuid,
        title text not null,
        prompt text not null,
        project_root text not null,
        runner text not null,
        labels jsonb not null,
        config jsonb not null,
        config_sources jsonb not null,
        state smallint not null,
        state_reason text not null default '',
        outcome smallint not null default 0,
        start_time timestamptz,
        end_time timestamptz,
        retry_time timestamptz,
        stop_time timestamptz,
        session_id text not null default '',
        model text not null default '',
        result text not null default '',
        usage jsonb not null default '{}',
        change_set jsonb,
        sandbox jsonb,
        owner_id uuid
      )`.execute(db);
    await sql`create index run_task on run (task_id, run_id)`.execute(db);
    await sql`create index run_labels on run using gin (labels jsonb_path_ops)`.execute(db);
    await sql`create index run_project on run (project_root, run_id)`.execute(db);
    await sql`create index run_state on run (state, run_id)`.execute(db);

    await sql`
      create table run_log (
        run_id uuid primary key references run on delete cascade,
        epoch bigint not null default 0,
        last_sequence bigint not null default 0,
        spool_offset bigint not null default 0
      ) with (fillfactor = 50)`.execute(db);

    await sql`
      create table run_event (
        position bigint primary key,
        run_id uuid not null,
        sequence bigint not null,
        kind smallint not null,
        record_time timestamptz not null,
        event bytea not null
      )`.execute(db);
    await sql`create unique index run_event_sequence on run_event (run_id, sequence)`.execute(db);

    await sql`
      create table log_head (
        singleton boolean primary key default true check (singleton),
        log_id uuid not null,
        position bigint not null default 0,
        oldest_position bigint not null default 1
      ) with (fillfactor = 10)`.execute(db);
    await sql`insert into log_head (log_id) values (gen_random_uuid())`.execute(db);

    await sql`
      create table change_set (
        run_id uuid not null references run on delete cascade,
        digest text not null,
        create_time timestamptz not null,
        change_set bytea not null,
        primary key (run_id, digest)
      )`.execute(db);

    await sql`
      create table request (
        method text not null,
        request_id text not null,
        create_time timestamptz not null,
        body_hash bytea not null,
        response bytea not null,
        primary key (method, request_id)
      )`.execute(db);
    await sql`create index request_create_time on request (create_time)`.execute(db);
  },
};
