// Episodes: acting, and reporting what came of it, from the .proto files alone.
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTOS = fileURLToPath(new URL("../../proto", import.meta.url));
const BUFFERED = 32; // outcomes that one call reports
const RETRIED = new Set([grpc.status.UNAVAILABLE, grpc.status.RESOURCE_EXHAUSTED]);
const RETRIES = 60;
const PAUSE_MS = 500;
const DEADLINE_MS = 10_000;

const definition = protoLoader.loadSync("policy_api/v1/experience.proto", {
  includeDirs: [PROTOS],
  keepCase: true,
  longs: String, // a seed has 64 bits, a JavaScript number 53
  enums: String,
  defaults: true, // empty lists too
});
const { policy_api: api } = grpc.loadPackageDefinition(definition);

/** One connection to a server. */
export class Client {
  constructor(address, credentials = grpc.credentials.createInsecure()) {
    this.policies = new api.v1.PolicyService(address, credentials);
    this.experience = new api.v1.ExperienceService(address, credentials);
  }

  /** One agent's episode; `subject` is a pseudonym of whom it is about. */
  episode(policy, { agentId = "", subject = "" } = {}) {
    return new Episode(this, policy, agentId, subject);
  }

  /** A unary call as a promise. A server that restarts or is full is asked again. */
  async call(stub, method, request) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await new Promise((resolve, reject) => {
          const options = { deadline: Date.now() + DEADLINE_MS };
          stub[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
        });
      } catch (error) {
        if (!RETRIED.has(error.code) || attempt === RETRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  close() {
    this.policies.close();
    this.experience.close();
  }
}

class Episode {
  constructor(client, policy, agentId, subject) {
    Object.assign(this, { client, policy, agentId, subject });
    this.id = randomUUID();
    this.step = -1;
    this.waiting = [];
  }

  /** The index of the sampled action for one observation, an array of numbers. */
  async act(observation) {
    const decision = {
      episode_id: this.id,
      agent_id: this.agentId,
      step: this.step + 1,
      subject: this.subject,
    };
    const response = await this.client.call(this.client.policies, "Act", {
      policy: this.policy,
      observations: { raw: floats(observation) },
      decisions: [decision],
    });
    this.step += 1;
    return Number(response.actions.raw.readBigInt64LE());
  }

  /** What came of the last action. `truncated` needs the observation that came then. */
  async reward(reward, { terminated = false, truncated = false, observation } = {}) {
    const end = terminated ? "TERMINATED" : truncated ? "TRUNCATED" : "GOES_ON";
    const outcome = { episode_id: this.id, agent_id: this.agentId, step: this.step, reward, end };
    if (end === "TRUNCATED") outcome.final_observation = floats(observation);
    this.waiting.push(outcome);
    if (end !== "GOES_ON" || this.waiting.length >= BUFFERED) await this.flush();
  }

  /** Reports what waits. It is durable when this resolves; repeating it counts nothing twice. */
  async flush() {
    const request = { policy: this.policy, outcomes: this.waiting };
    const answer = await this.client.call(this.client.experience, "ReportOutcomes", request);
    this.waiting = [];
    const problems = [...answer.conflicts, ...answer.unknown];
    if (problems.length) throw new Error(problems[0].description);
  }
}

/** float32, little-endian. */
function floats(numbers) {
  const data = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, index) => data.writeFloatLE(number, 4 * index));
  return data;
}
