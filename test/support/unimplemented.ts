/** The methods that answer UNIMPLEMENTED, as "Service/Method", sorted. The README names the same ones. */
export const unimplementedMethods: readonly string[] = [
  "PolicyService/EvaluatePolicy",
  "RunEventService/ReadRunOutput",
  "RunService/AnswerInputRequest",
  "RunService/ContinueRun",
  "RunService/DeleteRun",
  "RunService/GetTranscript",
  "RunService/ListInputRequests",
  "RunService/SendRunInput",
  "RunnerService/ProbeRunner",
];

/** Fields that make an implemented method answer UNIMPLEMENTED, as "Service/Method field". */
export const unimplementedFields: readonly string[] = [
  "RunService/ApproveRun selection",
  "RunService/RejectRun selection",
];
