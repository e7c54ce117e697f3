/** Options that every command takes. */
export interface GlobalOptions {
  readonly url?: string;
  readonly token?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
  /** Undefined: when standard output is a terminal. */
  readonly color?: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;
