/* Limits for clients: memory that they use, frames that cause work, time without progress. */
#include "internal.h"

#define FLOOD_BURST 2000.0 /* frames that cause work without a message: resets, pings, settings */
#define FLOOD_RATE 200.0   /* such frames per second */
#define LINGER_SECONDS 2.0 /* while the front drains: how long a client may neither read nor send */
#define SWEEP_SECONDS 1.0
#define SWEEP_IDLE_SECONDS 20.0

bool flood_charge(connection *c, double cost) {
    double now = c->front->now;
    c->tokens += (now - c->refilled) * FLOOD_RATE;
    if (c->tokens > FLOOD_BURST) c->tokens = FLOOD_BURST;
    c->refilled = now;
    c->tokens -= cost;
    return c->tokens > 0;
}

void hold(connection *c, size_t size) {
    c->held += size;
    c->front->held += size;
}

void release(connection *c, size_t size) {
    c->held -= size;
    c->front->held -= size;
}

/* Closes the connections that hold most, until the sum fits the limit. */
void limits_relieve(front *f) {
    while (f->held > f->config.max_held) {
        connection *most = NULL;
        for (connection *c = f->connections; c; c = c->next)
            if (!c->upstream && !c->doomed && (most == NULL || c->held > most->held)) most = c;
        if (most == NULL || most->held == 0) return;
        connection_doom(most);
        connection_bury(f);
    }
}

static bool stalls(const connection *c, const call *one, double now) {
    double seconds = c->front->config.stall_seconds;
    bool receives = !one->half_closed && buffer_size(&one->in) > 0 && !one->busy;
    bool sends = buffer_size(&one->out) > 0;
    return (receives && now - one->progress >= seconds) || (sends && now - one->taken >= seconds);
}

/* Whether the front drains and nothing has moved since `last` for too long. */
static bool lingers(const front *f, double last) {
    double since = last > f->drained ? last : f->drained;
    double seconds = f->config.stall_seconds < LINGER_SECONDS ? f->config.stall_seconds : LINGER_SECONDS;
    return f->draining && f->now - since >= seconds;
}

/* When the server ends, it waits for responses, but not for clients that do not read them. gRPC's
   clients see their calls end as UNAVAILABLE; the connection's other calls go on. */
static void end_lingering(connection *c) {
    for (call *one = c->calls; one; one = one->next) {
        if (buffer_size(&one->out) > 0) {
            if (!lingers(c->front, one->taken)) continue;
            nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, one->stream, NGHTTP2_REFUSED_STREAM);
            connection_touch(c);
        } else if (lingers(c->front, one->progress)) {
            call_give_up(one);
        }
    }
}

/* Whether the connection has to be closed. */
static bool overdue(connection *c, double now) {
    const front_config *config = &c->front->config;
    if (c->finished) return now - c->wrote > config->stall_seconds || lingers(c->front, c->wrote);
    if (!c->greeted) return now - c->since > config->handshake_seconds;
    if (buffer_size(&c->out) > 0 && (now - c->wrote > config->stall_seconds || lingers(c->front, c->wrote))) return true;
    for (call *one = c->calls; one; one = one->next)
        if (stalls(c, one, now)) return true;
    if (c->pinged > 0) return now - c->pinged > config->keepalive_timeout;
    return false;
}

/* The age at which the connection gets its GOAWAY. It is up to 10% below the limit, so that
   connections of the same time do not all come back at the same time. */
static double last_age(const connection *c) {
    uintptr_t spread = ((uintptr_t)c >> 6) * 2654435761u % 1024;
    return c->front->config.max_age * (1.0 - 0.1 * (double)spread / 1024);
}

static void keep_alive(connection *c, double now) {
    const front_config *config = &c->front->config;
    if (c->pinged == 0 && now - c->heard > config->keepalive_seconds) {
        c->pinged = now;
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        connection_touch(c);
    }
    if (config->max_age > 0 && now - c->since > last_age(c)) connection_goodbye(c);
    if (c->goodbye_told && !c->goodbye_final && now >= c->goodbye_at) connection_goodbye(c);
}

static bool is_quiet(const connection *c) {
    return c->greeted && c->call_count == 0 && c->pinged == 0 && !c->goodbye_told && buffer_size(&c->out) == 0;
}

void limits_sweep(front *f) {
    if (f->now < f->next_sweep) return;
    bool all_quiet = true;
    for (connection *c = f->connections, *next; c; c = next) {
        next = c->next;
        if (c->upstream) continue;
        if (overdue(c, f->now)) {
            connection_doom(c);
            continue;
        }
        if (c->finished) {
            all_quiet = false;
            continue;
        }
        if (c->goodbye_final && c->call_count == 0) connection_touch(c);
        if (c->session) keep_alive(c, f->now);
        if (c->session && f->draining) end_lingering(c);
        if (!is_quiet(c)) all_quiet = false;
    }
    double wait = all_quiet ? SWEEP_IDLE_SECONDS : f->draining ? SWEEP_SECONDS / 10 : SWEEP_SECONDS;
    if (f->config.keepalive_seconds / 2 < wait) wait = f->config.keepalive_seconds / 2;
    if (f->config.max_age > 0 && f->config.max_age / 2 < wait) wait = f->config.max_age / 2;
    f->next_sweep = f->now + wait;
}

void limits_watch(front *f) {
    if (f->next_sweep > f->now + SWEEP_SECONDS) f->next_sweep = f->now + SWEEP_SECONDS;
}
