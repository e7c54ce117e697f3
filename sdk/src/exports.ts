export { Code } from "@connectrpc/connect";
export { AgentManager, type CommonOptions, type HealthStatus } from "./agent-manager.js";
export type { CallOptions, WriteOptions } from "./call.js";
export type { Clients } from "./clients.js";
export * from "./errors.js";
export type { AgentProfile } from "./gen/agent_manager/v1/agent_profile_pb.js";
export { type ChangeSet, type FileChange, FileChangeKind, type Hunk } from "./gen/agent_manager/v1/change_set_pb.js";
export type { Policy } from "./gen/agent_manager/v1/policy_pb.js";
export { PermissionMode, type RunConfig } from "./gen/agent_manager/v1/run_config_pb.js";
export type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
export { type EventDelta, EventKind } from "./gen/agent_manager/v1/run_event_service_pb.js";
export { type Run, RunOutcome, RunState } from "./gen/agent_manager/v1/run_pb.js";
export type { Runner } from "./gen/agent_manager/v1/runner_pb.js";
export { type Task, TaskState } from "./gen/agent_manager/v1/task_pb.js";
export type { Policies, PolicyChanges, PolicyInit } from "./policies.js";
export type {
  DeleteOptions,
  EditOptions,
  ListOptions,
  ProfileChanges,
  ProfileInit,
  Profiles,
  RunConfigInit,
} from "./profiles.js";
export type { Approval, ApproveOptions, RejectOptions, RunHandle, SelectionOptions } from "./run-handle.js";
export { type ReviewStatus, type RunResult, type RunResultKind, resultOf } from "./run-result.js";
export { isSettled, isTerminal } from "./run-state.js";
export type { Runners } from "./runners.js";
export type { RunInit, RunSelectorInit, Runs, RunWork } from "./runs.js";
export type { TaskChanges, TaskFilter, TaskInit, Tasks } from "./tasks.js";
export type {
  EventsOptions,
  ReconnectNotice,
  RunFrame,
  WatchBookmark,
  WatchEventsOptions,
  WatchOptions,
} from "./watch-options.js";
