export * as proto from "./proto.js";
