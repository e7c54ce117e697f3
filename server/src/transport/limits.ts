/** The limits of the listener, each set where node or Connect would have none or a generous one. */

/** The largest request message. Prompts and attachments are text; 1 MiB prompts with attachments fit. */
export const readMaxBytes = 4 * 1024 * 1024;

/** The largest response message: a change set carries whole diffs. */
export const writeMaxBytes = 64 * 1024 * 1024;

/** The longest deadline a caller may ask for; setTimeout takes a longer one than 24.8 days for none at all. */
export const maxTimeoutMs = 24 * 60 * 60 * 1000;

/** How long a new connection may take to say which protocol it speaks, TLS handshake included. */
export const handshakeTimeoutMs = 10_000;

/** How long an HTTP/1.1 request may take to send its headers, and all of itself. */
export const headersTimeoutMs = 10_000;
export const requestTimeoutMs = 60_000;

/** How long an HTTP/1.1 connection waits for its next request. */
export const keepAliveTimeoutMs = 30_000;

/** All headers of a request together. */
export const maxHeaderBytes = 16 * 1024;
export const maxHeadersCount = 100;

/** Calls that one HTTP/2 connection may have open: 1,000 watches on one connection are a supported use. */
export const maxConcurrentStreams = 1_000;

/** Memory of one HTTP/2 connection, in MB as node counts it; beyond it new streams are refused. */
export const maxSessionMemoryMb = 64;

/** A quiet HTTP/2 connection without calls is closed after this, one with calls is asked whether it lives. */
export const sessionIdleMs = 120_000;
export const pingTimeoutMs = 20_000;

/** Connections at once. */
export const maxConnections = 4_096;
