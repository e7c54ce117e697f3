/** Who may be asked for, and from which web pages. */
export interface OriginPolicy {
  readonly hosts: readonly AllowedHost[];
  readonly origins: ReadonlySet<string>;
}

interface AllowedHost {
  readonly name: string;
  /** Undefined allows every port: a forwarded port differs from the one listened on. */
  readonly port: string | undefined;
}

/** The headers that say where a request comes from. Names are those of node: lower case. */
export interface OriginHeaders {
  readonly host?: string | undefined;
  readonly ":authority"?: string | undefined;
  readonly origin?: string | undefined;
  readonly "sec-fetch-site"?: string | readonly string[] | undefined;
}

/** A header that refuses the request. */
export interface OriginRefusal {
  readonly header: "Host" | "Origin" | "Sec-Fetch-Site";
  readonly value: string;
}

/**
 * Builds the policy: loopback names and the listen host always, plus what is configured. Throws for an entry
 * that can match nothing.
 */
export function createOriginPolicy(options: {
  readonly listenHost: string;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}): OriginPolicy {
  // A wildcard is an address to bind to, not one to be called by: browsers route 0.0.0.0 to this machine.
  const listenHosts = wildcards.has(options.listenHost) ? [] : [bracketed(options.listenHost)];
  return {
    hosts: [...loopbackNames, ...listenHosts, ...options.allowedHosts].map(allowedHost),
    origins: new Set(options.allowedOrigins.map(allowedOrigin)),
  };
}

/**
 * Checks a request before it is routed. A page of another site can make a browser send requests to this machine,
 * also under a name of that site which resolves to 127.0.0.1 (DNS rebinding); such a request names a foreign
 * Host, or a foreign Origin, and gets nothing, with or without a token.
 */
export function checkRequestOrigin(headers: OriginHeaders, policy: OriginPolicy): OriginRefusal | undefined {
  const named = [headers[":authority"], headers.host].filter((value) => value !== undefined);
  const foreign = named.length === 0 ? "" : named.find((value) => !isAllowedHost(value, policy.hosts));
  if (foreign !== undefined) return { header: "Host", value: foreign };
  if (headers.origin !== undefined) {
    // Comparing Origin with Host would prove nothing: a rebound page sends its own name in both.
    return policy.origins.has(headers.origin.toLowerCase()) ? undefined : { header: "Origin", value: headers.origin };
  }
  const site = headers["sec-fetch-site"];
  if (site === undefined || ownSites.has(String(site))) return undefined;
  // Browsers send no Origin with plain GETs, such as those of an <img>, but say that they come from elsewhere.
  return { header: "Sec-Fetch-Site", value: String(site) };
}

const loopbackNames = ["127.0.0.1", "localhost", "[::1]"];
const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);
const ownSites: ReadonlySet<string> = new Set(["none", "same-origin"]);

function isAllowedHost(value: string, hosts: readonly AllowedHost[]): boolean {
  const asked = parseHost(value);
  return (
    asked !== undefined && hosts.some(({ name, port }) => name === asked.name && (port ?? asked.port) === asked.port)
  );
}

function allowedHost(entry: string): AllowedHost {
  const host = parseHost(entry);
  if (host === undefined)
    throw new Error(`allowed host '${entry}' is no host name; write a name or address, with or without :port`);
  return host;
}

function allowedOrigin(entry: string): string {
  const url = URL.canParse(entry) ? new URL(entry) : undefined;
  if (url === undefined || url.origin === "null" || url.pathname !== "/") {
    throw new Error(`allowed origin '${entry}' is no web origin; write it as https://example.com`);
  }
  return url.origin;
}

/** Splits `name[:port]` as it may stand in a Host header; anything else is undefined. */
function parseHost(value: string): AllowedHost | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i.exec(value);
  const name = match?.[1]?.toLowerCase().replace(/\.$/, "");
  return name ? { name, port: match?.[2] } : undefined;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
