/* Actions that other threads want, queued for the loop's thread. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct order {
    order *next;
    order_kind kind;
    uint64_t call;
    int code;
    bool last, has_text;
    double seconds;
    size_t size, details_size;
    uint8_t data[]; /* the text, a 0, the details */
};

bool order_put(front *f, order_kind kind, uint64_t call, int code, bool last, double seconds, const void *text,
               size_t size, const void *details, size_t details_size) {
    order *made = malloc(sizeof *made + size + 1 + details_size);
    if (made == NULL) return false;
    *made = (order){NULL, kind, call, code, last, text != NULL, seconds, size, details_size};
    if (size) memcpy(made->data, text, size);
    made->data[size] = 0;
    if (details_size) memcpy(made->data + size + 1, details, details_size);
    pthread_mutex_lock(&f->lock);
    bool first = f->first_order == NULL;
    if (first) f->first_order = made;
    else f->last_order->next = made;
    f->last_order = made;
    pthread_mutex_unlock(&f->lock);
    if (first) front_wake(f);
    return true;
}

static order *taken(front *f) {
    pthread_mutex_lock(&f->lock);
    order *first = f->first_order;
    f->first_order = f->last_order = NULL;
    pthread_mutex_unlock(&f->lock);
    return first;
}

void orders_do(front *f) {
    for (order *o = taken(f), *next; o; o = next) {
        next = o->next;
        call *c = call_find(f, o->call);
        const uint8_t *details = o->data + o->size + 1;
        if (c != NULL && o->kind == ADMIT) call_admit(c, o->seconds);
        else if (c != NULL && o->kind == ANSWER) call_answer(c, o->has_text ? o->data : NULL, o->size, o->last);
        else if (c != NULL && o->kind == TRAILER) call_trailer(c, o->data, o->size, details, o->details_size);
        else if (c != NULL) call_fail(c, o->code, (const char *)o->data, details, o->details_size);
        free(o);
    }
}

void orders_free(front *f) {
    for (order *o = taken(f), *next; o; o = next) {
        next = o->next;
        free(o);
    }
}
