import type { Runner } from "../runner.js";
import { capabilities } from "./capabilities.js";
import { credentialVariables, detect, installHint } from "./detect.js";
import { launch } from "./launch.js";
import { knownModels } from "./presets.js";
import { ClaudeCodeProtocol } from "./protocol.js";

/** Anthropic's Claude Code, driven through `claude -p` with JSON lines both ways. */
export const claudeCode: Runner = {
  id: "claude-code",
  displayName: "Claude Code",
  defaultProgram: "claude",
  installHint,
  testedVersions: "2.1.x",
  capabilities,
  models: knownModels,
  credentialVariables,
  passedVariables: ["ANTHROPIC_BASE_URL", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"],
  detect,
  launch,
  protocol: (request) => new ClaudeCodeProtocol(request),
};
