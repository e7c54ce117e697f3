import { Code } from "@connectrpc/connect";
import type { Reason } from "../domain/errors.js";

/** Whether the same call can succeed later: never, again as it is, or after reading the current state. */
export type Retry = "never" | "again" | "after-reread";

/** What the wire says for one reason. */
export interface CatalogueEntry {
  readonly code: Code;
  /**
   * What happened, and to which thing. `{name}` is the DomainError's value of that name; `[a {x}|b {y}|c]` stands
   * for the first of its parts whose values are known, and for nothing if there is none.
   */
  readonly sentence: string;
  readonly retry: Retry;
  /** What to do now, in the same form. */
  readonly remedy: string;
}

/** The one catalogue of errors: docs/errors.md is printed from it. Reasons are API and never renamed. */
export const errorCatalogue: Readonly<Record<Reason, CatalogueEntry>> = {
  INVALID_REQUEST: {
    code: Code.InvalidArgument,
    sentence: "the request is wrong[ at {field}][: {problem}]",
    retry: "never",
    remedy: "correct the fields listed in BadRequest",
  },
  REQUEST_ID_REUSED: {
    code: Code.InvalidArgument,
    sentence: "request_id[ {request_id}] was used before with another body",
    retry: "never",
    remedy: "use a new request_id for a new request",
  },
  PAGE_TOKEN_INVALID: {
    code: Code.InvalidArgument,
    sentence: "the page token[ {page_token}] is not one of this list",
    retry: "never",
    remedy: "start from the first page with an empty page_token and the same filters throughout",
  },
  UPDATE_MASK_INVALID: {
    code: Code.InvalidArgument,
    sentence: "update_mask names a path that cannot be changed[: {path}]",
    retry: "never",
    remedy: "name only [these paths: {allowed}|the paths that the request's update_mask documents]",
  },
  ETAG_MISMATCH: {
    code: Code.Aborted,
    sentence: "[{kind} {id}|the stored object] was changed by someone else[: its etag is now {etag}]",
    retry: "after-reread",
    remedy: "read it again and repeat the edit on what it is now",
  },
  UNAUTHENTICATED: {
    code: Code.Unauthenticated,
    sentence: "the call has no valid token[: {problem}]",
    retry: "never",
    remedy:
      "send the header 'authorization: Bearer <token>' with the text of the file <data-dir>/token on the server's machine, or set AGENT_MANAGER_TOKEN for the CLI and the SDK",
  },
  ROLE_REQUIRED: {
    code: Code.PermissionDenied,
    sentence: "[the role {role} of {principal}|the caller's role] does not allow [{method}|this call]",
    retry: "never",
    remedy: "use a token with [one of the roles {allowed}|another role]",
  },
  HOST_NOT_ALLOWED: {
    code: Code.PermissionDenied,
    sentence: "the [{header}|Host or Origin] header[ {value}] is not allowed",
    retry: "never",
    remedy: "call the server by a name it is configured to serve, or add it to the allowed hosts or origins",
  },
  NOT_IMPLEMENTED: {
    code: Code.Unimplemented,
    sentence: "[{method}|the method] is not implemented by this server",
    retry: "never",
    remedy: "use a server of a newer version or another method",
  },
  MESSAGE_TOO_LARGE: {
    code: Code.ResourceExhausted,
    sentence: "the message is too large[: {size_bytes} bytes][, at most {limit_bytes} are taken]",
    retry: "never",
    remedy: "send less in one message, for example files as attachments by path instead of by text",
  },
  SERVER_SHUTTING_DOWN: {
    code: Code.Unavailable,
    sentence: "the server is shutting down",
    retry: "again",
    remedy: "connect again in a moment and resume watches after the last position handled",
  },
  DATABASE_UNAVAILABLE: {
    code: Code.Unavailable,
    sentence: "the database cannot be reached",
    retry: "again",
    remedy: "try again; running agents go on and nothing is lost",
  },
  INTERNAL: {
    code: Code.Internal,
    sentence: "something failed inside the server[ (error {error_id})]",
    retry: "never",
    remedy: "look for the error id in the server's log and report it",
  },
  DISK_FULL: {
    code: Code.ResourceExhausted,
    sentence: "the server's disk is full[ at {path}]",
    retry: "again",
    remedy: "free space on the server's machine; running agents wait for it",
  },
  PROFILE_NOT_FOUND: {
    code: Code.NotFound,
    sentence: "profile[ {profile}| {key}| {profile_id}] does not exist",
    retry: "never",
    remedy: "list the profiles with ListAgentProfiles, or create it with EnsureAgentProfile",
  },
  PROFILE_KEY_TAKEN: {
    code: Code.AlreadyExists,
    sentence: "a profile with the key[ {key}] exists already",
    retry: "never",
    remedy: "choose another key, or use EnsureAgentProfile to make the stored one equal to yours",
  },
  TASK_NOT_FOUND: {
    code: Code.NotFound,
    sentence: "task[ {task_id}] does not exist",
    retry: "never",
    remedy: "list the tasks with ListTasks",
  },
  TASK_HAS_RUNS: {
    code: Code.FailedPrecondition,
    sentence: "task[ {task_id}] has[ {runs}] runs and cannot be deleted",
    retry: "never",
    remedy: "delete its runs first, or cancel the task instead",
  },
  TASK_CANCELLED: {
    code: Code.FailedPrecondition,
    sentence: "task[ {task_id}] was cancelled and takes no more runs",
    retry: "never",
    remedy: "create a new task",
  },
  POLICY_NOT_FOUND: {
    code: Code.NotFound,
    sentence: "policy[ {policy_id}| {name}] does not exist",
    retry: "never",
    remedy: "list the policies with ListPolicies",
  },
  POLICY_NAME_TAKEN: {
    code: Code.AlreadyExists,
    sentence: "a policy with the name[ {name}] exists already",
    retry: "never",
    remedy: "choose another name, or update the stored policy",
  },
  RUNNER_UNKNOWN: {
    code: Code.FailedPrecondition,
    sentence: "runner[ {runner}] is not one this server knows",
    retry: "never",
    remedy: "use [one of {known}|a runner that ListRunners returns]",
  },
  RUNNER_NOT_INSTALLED: {
    code: Code.FailedPrecondition,
    sentence: "the program of runner[ {runner}] was not found on the server's machine[: {problem}]",
    retry: "never",
    remedy: "install it[: {install}], or name its path in the configuration",
  },
  PROJECT_NOT_FOUND: {
    code: Code.FailedPrecondition,
    sentence:
      "the project folder[ {project_root}] does not exist on the server's machine or cannot be read[: {problem}]",
    retry: "never",
    remedy: "give the absolute path of a folder that the server can read",
  },
  PROJECT_NOT_ALLOWED: {
    code: Code.PermissionDenied,
    sentence: "the project folder[ {project_root}] lies outside the folders this server serves",
    retry: "never",
    remedy: "use a project under [{roots}|one of those folders], or add its folder to the server's configuration",
  },
  RUN_NOT_FOUND: {
    code: Code.NotFound,
    sentence: "run[ {run_id}] does not exist",
    retry: "never",
    remedy: "list the runs with ListRuns",
  },
  RUN_NOT_STOPPABLE: {
    code: Code.FailedPrecondition,
    sentence: "run[ {run_id}] cannot be stopped or take input now[: it is {state}]",
    retry: "never",
    remedy: "read the run for its outcome; to go on from a run that waits for review use ContinueRun",
  },
  RUN_NOT_ENDED: {
    code: Code.FailedPrecondition,
    sentence: "run[ {run_id}] has not ended[: it is {state}]",
    retry: "never",
    remedy: "stop it and wait until it has ended",
  },
  RUN_NOT_REVIEWABLE: {
    code: Code.FailedPrecondition,
    sentence: "run[ {run_id}] does not wait for review[: it is {state}]",
    retry: "never",
    remedy: "review a run while its state is RUN_STATE_NEEDS_REVIEW",
  },
  RUN_CHANGED: {
    code: Code.Aborted,
    sentence: "run[ {run_id}] has changed in between[: it is {state}]",
    retry: "after-reread",
    remedy: "read the run again and decide anew",
  },
  RUN_CONFIG_INVALID: {
    code: Code.InvalidArgument,
    sentence: "the run's configuration cannot be used[ at {field}][: {problem}]",
    retry: "never",
    remedy: "correct the profile or the overrides",
  },
  CHANGE_SET_NOT_READY: {
    code: Code.FailedPrecondition,
    sentence: "run[ {run_id}] has no change set yet[: it is {state}]",
    retry: "again",
    remedy: "wait until the run waits for review; WatchRun says when",
  },
  CHANGE_SET_STALE: {
    code: Code.Aborted,
    sentence:
      "the digest[ {digest}] is not that of the latest change set[ of run {run_id}][, which is {latest_digest}]",
    retry: "after-reread",
    remedy: "get the change set again, look at it and approve its digest",
  },
  APPLY_CONFLICT: {
    code: Code.FailedPrecondition,
    sentence: "the changes[ of run {run_id}] cannot be applied: the project has moved under selected files[: {files}]",
    retry: "never",
    remedy:
      "nothing was written; resolve the files listed in PreconditionFailure, leave them out of the selection, or continue the run",
  },
  SANDBOX_FAILED: {
    code: Code.Unavailable,
    sentence: "the sandbox[ of run {run_id}] failed[ to {operation}][: {problem}]",
    retry: "again",
    remedy: "try again; if it stays, check the sandbox provider with 'agent-manager doctor'",
  },
  SANDBOX_GONE: {
    code: Code.FailedPrecondition,
    sentence: "the sandbox[ of run {run_id}] no longer exists",
    retry: "never",
    remedy: "start a new run; what the run recorded stays readable",
  },
  CURSOR_EXPIRED: {
    code: Code.OutOfRange,
    sentence:
      "the cursor[ {after_sequence}| {after_position}] is older than what is kept[: the oldest is {oldest_sequence}|: the oldest is {oldest_position}][, {lost} events are lost]",
    retry: "never",
    remedy: "go on from the oldest one and treat the lost events as unknown",
  },
  CURSOR_AHEAD: {
    code: Code.OutOfRange,
    sentence:
      "the cursor[ {after_sequence}| {after_position}] is ahead of the log[, which ends at {newest_sequence}|, which ends at {newest_position}]",
    retry: "never",
    remedy: "start again from 0: the log may have been restored from an older backup",
  },
  CURSOR_FOREIGN: {
    code: Code.FailedPrecondition,
    sentence: "the cursor is from another log[ ({log_id}, while this one is {current_log_id})]",
    retry: "never",
    remedy: "start again from 0: this is another database or a restored one",
  },
  INPUT_REQUEST_NOT_FOUND: {
    code: Code.NotFound,
    sentence: "input request[ {input_request_id}] does not exist",
    retry: "never",
    remedy: "list what waits for an answer with ListInputRequests",
  },
  INPUT_REQUEST_ANSWERED: {
    code: Code.FailedPrecondition,
    sentence: "input request[ {input_request_id}] is settled already[: it is {state}][, by {answered_by}]",
    retry: "never",
    remedy: "nothing to do: the first answer counts",
  },
};
