// CartPole in JavaScript, played and reported.
//
//   npm ci && node cartpole.js 127.0.0.1:50051 cartpole 20
import { Client } from "./episode.js";

const GRAVITY = 9.8;
const POLE_MASS = 0.1;
const TOTAL_MASS = 1.1;
const HALF_LENGTH = 0.5;
const FORCE = 10;
const SECONDS = 0.02;
const MAX_ANGLE = (12 * Math.PI) / 180;
const MAX_POSITION = 2.4;
const MAX_STEPS = 500;

/** Barto, Sutton and Anderson's cart and pole, one Euler step. */
function next([position, speed, angle, turning], action) {
  const force = action === 1 ? FORCE : -FORCE;
  const cos = Math.cos(angle);
  const push = (force + POLE_MASS * HALF_LENGTH * turning ** 2 * Math.sin(angle)) / TOTAL_MASS;
  const inertia = HALF_LENGTH * (4 / 3 - (POLE_MASS * cos ** 2) / TOTAL_MASS);
  const turn = (GRAVITY * Math.sin(angle) - cos * push) / inertia;
  const acceleration = push - (POLE_MASS * HALF_LENGTH * turn * cos) / TOTAL_MASS;
  return [
    position + SECONDS * speed,
    speed + SECONDS * acceleration,
    angle + SECONDS * turning,
    turning + SECONDS * turn,
  ];
}

/** Plays one episode; resolves to its return. */
async function play(client, policy) {
  const episode = client.episode(policy, { subject: "javascript" });
  let state = Array.from({ length: 4 }, () => Math.random() * 0.1 - 0.05);
  for (let step = 1; ; step++) {
    state = next(state, await episode.act(state));
    const terminated = Math.abs(state[0]) > MAX_POSITION || Math.abs(state[2]) > MAX_ANGLE;
    const truncated = !terminated && step === MAX_STEPS;
    await episode.reward(1, { terminated, truncated, observation: state });
    if (terminated || truncated) return step;
  }
}

const [address = "127.0.0.1:50051", policy = "cartpole", episodes = "20"] = process.argv.slice(2);
const client = new Client(address);
const returns = [];
for (let number = 0; number < Number(episodes); number++) returns.push(await play(client, policy));
client.close();
console.log(JSON.stringify({ episodes: returns.length, returns }));
