/** The gRPC server reflection protocol, v1 and v1alpha, under names that tell them apart. */
export {
  ServerReflection as ServerReflectionV1,
  type ServerReflectionRequest,
} from "./gen/grpc/reflection/v1/reflection_pb.js";
export { ServerReflection as ServerReflectionV1Alpha } from "./gen/grpc/reflection/v1alpha/reflection_pb.js";
