import type { ColumnType, Generated, Insertable, Kysely, Selectable, Transaction, Updateable } from "kysely";

/**
 * The tables. Names are those of the API: `run_id`, `sequence`, `state`. Messages that people may want to read
 * with SQL are stored as proto JSON (jsonb), those that only travel as encoded protobuf (bytea).
 */
export interface Database {
  agent_profile: AgentProfileTable;
  task: TaskTable;
  policy: PolicyTable;
  run: RunTable;
  run_log: RunLogTable;
  run_event: RunEventTable;
  log_head: LogHeadTable;
  change_set: ChangeSetTable;
  request: RequestTable;
  server: ServerTable;
}

/** A connection or a transaction: store functions take either. */
export type Db = Kysely<Database>;
export type Tx = Transaction<Database>;

type Immutable<T> = ColumnType<T, T, never>;
/** jsonb: any JSON value out, JSON text in. */
type Json = ColumnType<unknown, string, string>;
/** bigint comes as a string from the driver and is parsed to bigint by the pool's type parser. */
type BigInteger = ColumnType<bigint, bigint | number, bigint | number>;

export interface AgentProfileTable {
  profile_id: Immutable<string>;
  create_time: Immutable<Date>;
  update_time: Date;
  /** Counts edits; the etag is made of it. */
  version: Generated<number>;
  key: Immutable<string>;
  display_name: string;
  description: string;
  /** agent_manager.v1.RunConfig as proto JSON. */
  config: Json;
}

export interface TaskTable {
  task_id: Immutable<string>;
  create_time: Immutable<Date>;
  update_time: Date;
  version: Generated<number>;
  title: string;
  prompt: string;
  project_root: Immutable<string>;
  scope_paths: Json;
  /** repeated agent_manager.v1.ContextAttachment as proto JSON. */
  context: Json;
  labels: Json;
  /** Number of agent_manager.v1.TaskState. */
  state: number;
}

export interface PolicyTable {
  policy_id: Immutable<string>;
  create_time: Immutable<Date>;
  update_time: Date;
  version: Generated<number>;
  name: string;
  description: string;
  priority: number;
  enabled: boolean;
  /** agent_manager.v1.PolicySelector as proto JSON. */
  selector: Json;
  /** agent_manager.v1.PolicyRules as proto JSON. */
  rules: Json;
}

export interface RunTable {
  run_id: Immutable<string>;
  create_time: Immutable<Date>;
  update_time: Date;
  /** Counts changes; every transition is guarded by it. */
  version: BigInteger;
  task_id: Immutable<string>;
  profile_id: Immutable<string | null>;
  title: Immutable<string>;
  prompt: Immutable<string>;
  project_root: Immutable<string>;
  runner: string;
  labels: Json;
  /** agent_manager.v1.RunConfig, resolved, as proto JSON. */
  config: Json;
  /** repeated agent_manager.v1.ConfigSource as proto JSON. */
  config_sources: Json;
  /** Number of agent_manager.v1.RunState. */
  state: number;
  state_reason: string;
  /** Number of agent_manager.v1.RunOutcome. */
  outcome: number;
  start_time: Date | null;
  end_time: Date | null;
  retry_time: Date | null;
  /** When a stop was first asked for. */
  stop_time: Date | null;
  session_id: string;
  model: string;
  result: string;
  /** agent_manager.v1.UsageTotals as proto JSON. */
  usage: Json;
  /** agent_manager.v1.ChangeSetSummary as proto JSON; null until there is one. */
  change_set: ColumnType<unknown, string | null, string | null>;
  /** agent_manager.v1.SandboxInfo as proto JSON; null until there is one. */
  sandbox: ColumnType<unknown, string | null, string | null>;
  /** The server that looks after the run; null while queued. */
  owner_id: string | null;
  /** The data directory that holds the run's state folder and sandbox, on its owner's host; empty until claimed. */
  data_dir: Generated<string>;
}

/** The narrow part of a run that every append updates. */
export interface RunLogTable {
  run_id: Immutable<string>;
  /** Raised whenever a server takes the run over; an append of an older epoch is refused. */
  epoch: BigInteger;
  /** The sequence of the last event. */
  last_sequence: BigInteger;
  /** How far the run's spool has been turned into events, in bytes. */
  spool_offset: BigInteger;
}

export interface RunEventTable {
  position: Immutable<bigint>;
  run_id: Immutable<string>;
  sequence: Immutable<bigint>;
  /** Field number in RunEvent's `event` oneof. */
  kind: Immutable<number>;
  record_time: Immutable<Date>;
  /** agent_manager.v1.RunEvent without run_id, sequence, position and record_time, which are put in front. */
  event: Immutable<Buffer>;
}

/** One row: the log's identity and its newest position. */
export interface LogHeadTable {
  singleton: Generated<boolean>;
  log_id: string;
  position: BigInteger;
  /** Positions below this are no longer kept. */
  oldest_position: BigInteger;
}

export interface ChangeSetTable {
  run_id: Immutable<string>;
  digest: Immutable<string>;
  create_time: Immutable<Date>;
  /** agent_manager.v1.ChangeSet. */
  change_set: Immutable<Buffer>;
}

/** The servers of this database and until when each may be taken to be alive. */
export interface ServerTable {
  server_id: Immutable<string>;
  /** Raised at every start of the server. */
  epoch: BigInteger;
  /** By the database's clock. */
  lease_until: Date;
  /** Identifies the boot of the server's host. */
  boot_id: string;
}

/** Answers by request_id, for replay. */
export interface RequestTable {
  /** Full method name, for example "agent_manager.v1.TaskService/CreateTask". */
  method: Immutable<string>;
  request_id: Immutable<string>;
  create_time: Immutable<Date>;
  /** SHA-256 of the request without its request_id. */
  body_hash: Immutable<Buffer>;
  /** The encoded response. */
  response: Immutable<Buffer>;
}

export type RunRow = Selectable<RunTable>;
export type NewRun = Insertable<RunTable>;
export type RunUpdate = Updateable<RunTable>;
