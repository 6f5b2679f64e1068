// Asks a server by gRPC's own C++ library: one request, one of an unknown policy, many at once, and a stream.
// Prints answers in hexadecimal and statuses, a line each.
//   foreign_client ADDRESS POLICY
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "policy_api/v1/policy.grpc.pb.h"

using namespace policy_api::v1;

static ActRequest request(const std::string& policy, uint64_t seed) {
  ActRequest made;
  made.set_policy(policy);
  for (float value : {0.1f, 0.2f, 0.3f, 0.4f}) made.mutable_observations()->add_values(value);
  made.set_seed(seed);
  return made;
}

static void print(const char* name, const grpc::Status& status, const ActResponse& answer) {
  printf("%s %d ", name, status.error_code());
  for (unsigned char byte : answer.SerializeAsString()) printf("%02x", byte);
  printf("\n");
}

static void bound(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
}

static void unary(PolicyService::Stub& stub, const char* name, const std::string& policy) {
  grpc::ClientContext context;
  bound(context);
  ActResponse answer;
  grpc::Status status = stub.Act(&context, request(policy, 7), &answer);
  print(name, status, answer);
}

struct Call {
  grpc::ClientContext context;
  grpc::Status status;
  ActResponse answer;
  std::unique_ptr<grpc::ClientAsyncResponseReader<ActResponse>> reader;
};

static void at_once(PolicyService::Stub& stub, const std::string& policy, int count) {
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Call>> calls;
  for (int number = 0; number < count; number++) {
    calls.push_back(std::make_unique<Call>());
    Call& call = *calls.back();
    bound(call.context);
    call.reader = stub.AsyncAct(&call.context, request(policy, number), &queue);
    call.reader->Finish(&call.answer, &call.status, &call);
  }
  void* tag = nullptr;
  bool ok = false;
  for (int number = 0; number < count; number++) queue.Next(&tag, &ok);
  for (const auto& call : calls) print("many", call->status, call->answer);
}

static void stream(PolicyService::Stub& stub, const std::string& policy, int count) {
  grpc::ClientContext context;
  bound(context);
  auto talk = stub.StreamAct(&context);
  StreamActResponse answer;
  for (int number = 0; number < count; number++) {
    StreamActRequest asked;
    *asked.mutable_request() = request(policy, number);
    if (!talk->Write(asked) || !talk->Read(&answer)) break;
    print("stream", grpc::Status::OK, answer.response());
  }
  talk->WritesDone();
  printf("ended %d\n", talk->Finish().error_code());
}

int main(int, char** words) {
  auto channel = grpc::CreateChannel(words[1], grpc::InsecureChannelCredentials());
  auto stub = PolicyService::NewStub(channel);
  unary(*stub, "one", words[2]);
  unary(*stub, "unknown", "nobody");
  at_once(*stub, words[2], 64);
  stream(*stub, words[2], 5);
}
