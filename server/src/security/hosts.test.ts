import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkRequestOrigin, createOriginPolicy } from "./hosts.js";

const policy = createOriginPolicy({
  listenHost: "192.168.7.7",
  allowedHosts: ["Agents.Example.com", "fixed.example.com:8443", "[2001:db8::1]"],
  allowedOrigins: ["https://Inbox.example.com", "http://localhost:3000/"],
});

describe("Host", () => {
  test.each([
    ...[
      "127.0.0.1",
      "127.0.0.1:7717",
      "localhost",
      "localhost:1",
      "LOCALHOST",
      "localhost.",
      "localhost.:7717",
      "LocalHost.:80",
    ],
    ...["[::1]", "[::1]:7717", "192.168.7.7", "192.168.7.7:7717"],
    ...["agents.example.com", "AGENTS.example.com.:443", "fixed.example.com:8443", "[2001:db8::1]", "[2001:DB8::1]:99"],
  ])("%s is served", (host) => {
    expect(checkRequestOrigin({ host }, policy)).toBeUndefined();
    expect(checkRequestOrigin({ ":authority": host }, policy)).toBeUndefined();
  });

  test.each([
    ...[
      "",
      ".",
      ":",
      ":7717",
      " localhost",
      "localhost ",
      "localhost..",
      "localhost:",
      "localhost:port",
      "localhost:123456",
      "localhost:80:80",
    ],
    ...[
      "evil.example",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "evil.example:7717",
      "127.0.0.1.nip.io",
      "xlocalhost",
    ],
    ...[
      "0.0.0.0",
      "0.0.0.0:7717",
      "[::]",
      "::1",
      "127.0.0.2",
      "127.1",
      "2130706433",
      "0x7f.0.0.1",
      "[::ffff:127.0.0.1]",
      "[::1",
      "::1]",
    ],
    ...[
      "user@localhost",
      "localhost@evil.example",
      "localhost/evil",
      "localhost,evil.example",
      "localhost\tevil",
      "localhost\u0000",
      "ⓛocalhost",
    ],
    ...["fixed.example.com", "fixed.example.com:443", "sub.agents.example.com", "192.168.7.8", "[2001:db8::2]"],
  ])("%j is refused", (host) => {
    expect(checkRequestOrigin({ host }, policy)).toEqual({ header: "Host", value: host });
    expect(checkRequestOrigin({ ":authority": host }, policy)).toEqual({ header: "Host", value: host });
    expect(checkRequestOrigin({ ":authority": "localhost", host }, policy)).toEqual({ header: "Host", value: host });
    expect(checkRequestOrigin({ ":authority": host, host: "localhost" }, policy)).toEqual({
      header: "Host",
      value: host,
    });
  });

  test("may not be missing", () => {
    expect(checkRequestOrigin({}, policy)).toEqual({ header: "Host", value: "" });
  });

  test("of anything but an allowed name is refused", () => {
    const allowed =
      /^(127\.0\.0\.1|localhost|192\.168\.7\.7|agents\.example\.com)\.?(:\d{1,5})?$|^\[(::1|2001:db8::1)\](:\d{1,5})?$|^fixed\.example\.com\.?:8443$/i;
    const part = fc.constantFrom(
      "localhost",
      "127.0.0.1",
      "[::1]",
      "evil",
      ".",
      ":",
      "@",
      "/",
      "7717",
      "[",
      "]",
      "%00",
      "fixed.example.com:8443",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        const host = parts.join("");
        expect(checkRequestOrigin({ host }, policy) === undefined).toBe(allowed.test(host));
      }),
      { numRuns: 2_000 },
    );
  });

  test("is not allowed to be the wildcard that is listened on: browsers take 0.0.0.0 for this machine", () => {
    const wildcard = createOriginPolicy({ listenHost: "0.0.0.0", allowedHosts: [], allowedOrigins: [] });
    expect(checkRequestOrigin({ host: "0.0.0.0:7717" }, wildcard)).toBeDefined();
  });

  test("may be the IPv6 address that is listened on", () => {
    const ipv6 = createOriginPolicy({ listenHost: "2001:db8::5", allowedHosts: [], allowedOrigins: [] });
    expect(checkRequestOrigin({ host: "[2001:db8::5]:7717" }, ipv6)).toBeUndefined();
  });
});

describe("Origin", () => {
  test.each([undefined, "https://inbox.example.com", "HTTPS://inbox.example.com", "http://localhost:3000"])(
    "%s is served",
    (origin) => {
      expect(checkRequestOrigin({ host: "localhost", origin }, policy)).toBeUndefined();
    },
  );

  test.each([
    ...["", "null", "http://localhost", "http://localhost:7717", "http://127.0.0.1:7717", "http://inbox.example.com"],
    ...[
      "https://inbox.example.com:8443",
      "https://inbox.example.com.evil.example",
      "https://evil.example",
      "chrome-extension://abc",
      "file://",
    ],
  ])("%j is refused", (origin) => {
    expect(checkRequestOrigin({ host: "localhost", origin }, policy)).toEqual({ header: "Origin", value: origin });
  });

  test("equal to Host proves nothing", () => {
    expect(checkRequestOrigin({ host: "evil.example", origin: "http://evil.example" }, policy)).toMatchObject({
      header: "Host",
    });
  });
});

describe("a browser's request without Origin", () => {
  test.each([["cross-site"], ["same-site"]])("from elsewhere is refused: %s", (site) => {
    expect(checkRequestOrigin({ host: "localhost", "sec-fetch-site": site }, policy)).toEqual({
      header: "Sec-Fetch-Site",
      value: site,
    });
  });

  test.each([["none"], ["same-origin"]])("of its own is served: %s", (site) => {
    expect(checkRequestOrigin({ host: "localhost", "sec-fetch-site": site }, policy)).toBeUndefined();
  });
});

test.each(["http://x.example", "a b", "", "[::1", "*"])(
  "the allowed host %j is refused with what to write",
  (entry) => {
    expect(() => createOriginPolicy({ listenHost: "localhost", allowedHosts: [entry], allowedOrigins: [] })).toThrow(
      /no host name; write/,
    );
  },
);

test.each(["example.com", "*", "null", "https://x.example/path", "file:///x"])(
  "the allowed origin %j is refused with what to write",
  (entry) => {
    expect(() => createOriginPolicy({ listenHost: "localhost", allowedHosts: [], allowedOrigins: [entry] })).toThrow(
      /no web origin; write/,
    );
  },
);
