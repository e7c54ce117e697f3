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
        owner_id uuid,
        data_dir text not null default ''
      )`.execute(db);
    await sql`create index run_task on run (task_id, run_id)`.execute(db);
    await sql`create index run_labels on run using gin (labels jsonb_path_ops)`.execute(db);
    await sql`create index run_project on run (project_root, run_id)`.execute(db);
    await sql`create index run_state on run (state, run_id)`.execute(db);

    await sql`
      create table server (
        server_id uuid primary key,
        epoch bigint not null,
        lease_until timestamptz not null,
        boot_id text not null
      )`.execute(db);

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

    // Called as one autocommit statement. Lock order: the runs, then the head; the head's row is held only
    // until this statement commits, which is what makes positions visible in order. Events come packed in one
    // bytea with their lengths, because arrays of bytea travel as hex at twice the size.
    await sql`
      create function append_events(
        run_ids uuid[], epochs bigint[], from_offsets bigint[], to_offsets bigint[], event_counts int[],
        event_entries int[], event_kinds smallint[], event_lengths int[], data bytea
      ) returns table (run_id uuid, base_sequence bigint, base_position bigint, record_time timestamptz)
      language plpgsql as $$
      #variable_conflict use_column
      begin
        return query
        with entry as (
          select * from unnest(run_ids, epochs, from_offsets, to_offsets, event_counts)
            with ordinality as e (run_id, epoch, from_offset, to_offset, event_count, entry)
        ), moved as (
          update run_log l
          set last_sequence = l.last_sequence + e.event_count, spool_offset = coalesce(e.to_offset, l.spool_offset)
          from entry e
          where l.run_id = e.run_id
            and (e.epoch is null or l.epoch = e.epoch)
            and (e.from_offset is null or l.spool_offset = e.from_offset)
          returning l.run_id, e.entry, e.event_count, l.last_sequence - e.event_count as base_sequence
        ), head as (
          update log_head set position = position + (select coalesce(sum(event_count), 0) from moved)
          where exists (select from moved)
          returning position, clock_timestamp() as record_time
        ), placed as (
          select m.run_id, m.entry, m.base_sequence, h.record_time,
            h.position - sum(m.event_count) over (order by m.entry desc) as base_position
          from moved m, head h
        ), event as (
          select e.entry, e.kind, e.length,
            sum(e.length) over (order by e.number) - e.length as start,
            row_number() over (partition by e.entry order by e.number) as number
          from unnest(event_entries, event_kinds, event_lengths) with ordinality as e (entry, kind, length, number)
        ), stored as (
          insert into run_event (position, run_id, sequence, kind, record_time, event)
          select p.base_position + e.number, p.run_id, p.base_sequence + e.number, e.kind, p.record_time,
            substr(data, e.start::int + 1, e.length)
          from event e join placed p on p.entry = e.entry
        )
        select p.run_id, p.base_sequence, p.base_position::bigint, p.record_time from placed p;
      end $$`.execute(db);

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
