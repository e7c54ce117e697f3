/** What a caller may do; the table of methods in security/roles.ts says what each role is allowed. */
export type Role = "viewer" | "operator" | "reviewer" | "admin";

/** Who calls. */
export interface Principal {
  /** Names the holder of the token in events and answers, for example "local". */
  readonly name: string;
  readonly role: Role;
}
