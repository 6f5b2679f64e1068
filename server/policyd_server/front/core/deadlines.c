/* The deadlines of calls: a heap, the soonest first. */
#include "internal.h"

#include <stdlib.h>

static void timer_put(front *f, int place, call *c) {
    f->timers[place] = c;
    c->timer = place;
}

static void timer_up(front *f, int place) {
    call *c = f->timers[place];
    while (place > 0 && f->timers[(place - 1) / 2]->deadline > c->deadline) {
        timer_put(f, place, f->timers[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    timer_put(f, place, c);
}

static void timer_down(front *f, int place) {
    call *c = f->timers[place];
    for (;;) {
        int child = 2 * place + 1;
        if (child >= f->timer_count) break;
        if (child + 1 < f->timer_count && f->timers[child + 1]->deadline < f->timers[child]->deadline) child++;
        if (f->timers[child]->deadline >= c->deadline) break;
        timer_put(f, place, f->timers[child]);
        place = child;
    }
    timer_put(f, place, c);
}

void call_set_deadline(call *c, double deadline) {
    front *f = c->from->front;
    if (c->timer >= 0) {
        int place = c->timer;
        call *last = f->timers[--f->timer_count];
        c->timer = -1;
        if (last != c) {
            timer_put(f, place, last);
            timer_up(f, place);
            timer_down(f, last->timer);
        }
    }
    c->deadline = deadline;
    if (deadline <= 0) return;
    if (f->timer_count == f->timer_room) {
        int room = f->timer_room ? 2 * f->timer_room : 64;
        call **timers = realloc(f->timers, (size_t)room * sizeof *timers);
        if (timers == NULL) return; /* the client also watches its deadline */
        f->timers = timers;
        f->timer_room = room;
    }
    timer_put(f, f->timer_count++, c);
    timer_up(f, f->timer_count - 1);
}

void deadlines_pass(front *f) {
    while (f->timer_count > 0 && f->timers[0]->deadline <= f->now) {
        call *c = f->timers[0];
        if (c->told && c->status < 0) front_tell(f, FRONT_GONE, c, 0);
        c->told = false;
        call_fail(c, DEADLINE_EXCEEDED, "Deadline Exceeded", NULL, 0);
    }
}

int deadlines_wait(front *f, int milliseconds) {
    double until = f->timer_count > 0 ? f->timers[0]->deadline : 0;
    if (f->connection_count > 0 && (until == 0 || f->next_sweep < until)) until = f->next_sweep;
    if (f->accept_paused && (until == 0 || f->accept_again < until)) until = f->accept_again;
    if (until == 0) return milliseconds;
    double left = (until - f->now) * 1e3 + 1;
    if (left < 0) return 0;
    return milliseconds >= 0 && milliseconds < left ? milliseconds : (int)(left < 1e9 ? left : 1e9);
}
