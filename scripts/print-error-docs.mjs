// Prints docs/errors.md from the one catalogue of errors. Run after `npm run build`:
//   node scripts/print-error-docs.mjs > docs/errors.md
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { errorCatalogue } from "../server/dist/transport/error-catalogue.js";

const retries = { never: "no", again: "yes, the same call later", "after-reread": "yes, after reading again" };

// Of `[a {x}|b]` the first part is shown, with `x` for its value.
const shown = (template) =>
  template
    .replace(/\[([^\]|]*)(?:\|[^\]]*)?\]/g, "$1")
    .replace(/[<>|]/g, (character) => `\\${character}`)
    .replace(/\{(\w+)\}/g, "`$1`");

const rows = Object.entries(errorCatalogue).map(([reason, { code, sentence, retry, remedy }]) =>
  ["", `\`${reason}\``, codeToString(code).toUpperCase(), shown(sentence), retries[retry], shown(remedy), ""]
    .join(" | ")
    .trim(),
);

process.stdout.write(`# Errors

Every error of the service has a reason. It travels as \`reason\` of the detail \`google.rpc.ErrorInfo\` in the domain
\`agent-manager\`, with the values of the text as \`metadata\`; reasons are never renamed. Where they apply,
\`google.rpc.BadRequest\` names the wrong fields, \`PreconditionFailure\` what stood in the way, and \`RetryInfo\` how
long to wait. The text of an error is what happened, then what to do. Words in \`this form\` stand for values, which
are left out of the text when they are not known.

A call can also end with CANCELED or DEADLINE_EXCEEDED, and one that breaks the protocol itself with
INVALID_ARGUMENT, without a reason.

This page is printed by \`node scripts/print-error-docs.mjs\` from \`server/src/transport/error-catalogue.ts\`.

| reason | code | what happened | try again? | what to do |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`);
