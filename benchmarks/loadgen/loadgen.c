/*
 * Loads a storage SCP on this machine: some associations at once, each with one request at a time, on one thread.
 *
 *     loadgen mode=store|churn|hold port=N associations=N [each=N] [seconds=S] ...       (settings.h has all of them)
 *
 * store  sends objects on every association, `each` of them or for `seconds`, waits for each answer, releases
 * churn  connects, asks C-ECHO and releases, again and again: `each` times the number of associations, or for `seconds`
 * hold   opens the associations, prints "ready N" when it has N, waits for the end of its input, asks C-ECHO on each
 *        and releases
 *
 * What is sent is made by objects.py: a head, into which the number of the object is written as the end of its UID,
 * and pixel data, which are one pool of bytes read around from a place that depends on the number. So each object
 * differs, and nothing is copied: writev takes PDU headers, head and pool from where they are. P-DATA-TF are as long as
 * the peer announces. Any answer but the right one with status 0x0000 ends its association and is counted as failed.
 *
 * SIGTERM has what is being sent finished, and nothing more begun. One line of JSON tells how it went.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "encoding.h"
#include "settings.h"

enum { PDV = 12, PIECES = 64, AT_ONCE = 1 << 18, NUMBER_DIGITS = 12, MESSAGE = 1024, INPUT = 16384 };
enum { ASSOCIATE_AC = 2, ASSOCIATE_RJ = 3, P_DATA = 4, RELEASE_RQ = 5, RELEASE_RP = 6, ABORT = 7 };
enum { ECHO_CONTEXT = 1, STORE_CONTEXT = 3, C_STORE_RQ = 0x0001, C_ECHO_RQ = 0x0030, NO_DATA_SET = 0x0101 };
/* From addresses 127.0.0.2 and up, because those of closed connections stay in use for a minute. */
enum { SOURCES = 60 };

typedef enum { IDLE, ASSOCIATING, HOLDING, STORING, ECHOING, RELEASING } Phase;
static const char *const phases[] = {"idle", "associating", "holding", "storing", "asking C-ECHO", "releasing"};

typedef struct {
    int socket;
    Phase phase;
    uint32_t events;                            /* what epoll watches for */
    uint8_t message[MESSAGE];                   /* whole PDUs that go before the data set; often there is none */
    size_t messageLength;
    uint64_t dataLength, sent, total;           /* of what is being sent now, PDU headers included in the last two */
    size_t fragment;                            /* bytes of the data set in a PDU */
    uint8_t pdu[PDV], lastPDU[PDV];             /* header of every P-DATA-TF of the data set but the last, and of it */
    uint8_t *head;
    uint64_t poolOffset;
    uint8_t input[INPUT], response[MESSAGE];
    size_t inputLength, responseLength;
    uint16_t messageID;
    long done;
    double begun;
} Association;

static int epoll, churning, holding;
static uint8_t *head, *pool;
static size_t headLength, poolLength;
static double started, finished;
static uint64_t begunObjects;
static long open_, established, ok, failed, announced = -1, latencyRoom;
static float *latencies;
static char reason[200];
static volatile sig_atomic_t stopping;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* ---- messages ---- */

static uint8_t *presentationContext(uint8_t *to, int id, const char *abstractSyntax)
{
    uint8_t *start = to;
    to = big(big(to, 4, 0x20000000), 4, (uint64_t)id << 24);
    to = item(item(to, 0x30, abstractSyntax), 0x40, transferSyntax);
    closeItem(start, to);
    return to;
}

static void send_(Association *a, Phase phase, uint8_t *end, uint64_t dataLength);

static void sendAssociateRQ(Association *a)
{
    uint8_t *to = a->message, *start;
    to = big(to, 6, 0x010000000000);
    to = title(title(big(to, 4, 0x00010000), calledTitle), callingTitle);
    memset(to, 0, 32);
    to = item(to + 32, 0x10, "1.2.840.10008.3.1.1.1");
    to = presentationContext(to, ECHO_CONTEXT, "1.2.840.10008.1.1");
    to = presentationContext(to, STORE_CONTEXT, sopClass);
    start = to;
    to = big(big(big(to, 4, 0x50000000), 4, 0x51000004), 4, 16384);
    to = item(to, 0x52, "2.25.77130459172936412907211953462810173395");
    closeItem(start, to);
    big(a->message + 2, 4, to - a->message - 6);
    send_(a, ASSOCIATING, to, 0);
}

/* One P-DATA-TF of one PDV that holds the whole command set. */
static uint8_t *command(Association *a, int field, const char *affectedClass, const char *instance)
{
    uint8_t *set = a->message + PDV, *to = set + 12;
    int storing = field == C_STORE_RQ;
    a->messageID++;
    to = element16(element16(elementUID(to, 0x0002, affectedClass), 0x0100, field), 0x0110, a->messageID);
    if (storing) to = element16(to, 0x0700, 0);
    to = element16(to, 0x0800, storing ? 0 : NO_DATA_SET);
    if (storing) to = elementUID(to, 0x1000, instance);
    little(little(little(set, 4, 0), 4, 4), 4, to - set - 12);
    big(big(a->message, 2, P_DATA << 8), 4, to - set + 6);
    big(big(big(a->message + 6, 4, to - set + 2), 1, storing ? STORE_CONTEXT : ECHO_CONTEXT), 1, 3);
    return to;
}

static void sendEcho(Association *a) { send_(a, ECHOING, command(a, C_ECHO_RQ, "1.2.840.10008.1.1", ""), 0); }

static void dataHeader(uint8_t *to, size_t length, int last)
{
    big(big(big(big(big(to, 2, P_DATA << 8), 4, length + 6), 4, length + 2), 1, STORE_CONTEXT), 1, last ? 2 : 0);
}

static void sendObject(Association *a)
{
    char uid[128];
    uint64_t number = first + begunObjects++, length = headLength + pixelLength;
    snprintf(uid, sizeof uid, "%s%0*llu", uidPrefix, NUMBER_DIGITS, (unsigned long long)number);
    text(a->head + uidOffset, uid);
    a->poolOffset = number * 524287 % poolLength;
    dataHeader(a->pdu, a->fragment, 0);
    dataHeader(a->lastPDU, (length - 1) % a->fragment + 1, 1);
    a->begun = now();
    send_(a, STORING, command(a, C_STORE_RQ, sopClass, uid), length);
}

static void sendRelease(Association *a)
{
    send_(a, RELEASING, big(big(a->message, 6, (uint64_t)RELEASE_RQ << 40 | 4), 4, 0), 0);
}

/* ---- associations ---- */

static void watch(Association *a, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = a};
    if (a->events == events) return;
    if (epoll_ctl(epoll, a->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, a->socket, &event)) die("epoll_ctl");
    a->events = events;
}

static void hangUp(Association *a)
{
    if (a->phase == IDLE) return;
    close(a->socket);
    a->phase = IDLE;
    open_--;
}

static void fail(Association *a, const char *format, ...)
{
    va_list values;
    if (a->phase == IDLE) return;
    va_start(values, format);
    if (!failed++) vsnprintf(reason, sizeof reason, format, values);
    va_end(values);
    hangUp(a);
}

static int mayGoOn(const Association *a)
{
    if (stopping || (seconds && now() - started >= seconds)) return 0;
    return !each || (churning ? (long)begunObjects < each * count : a->done < each);
}

static void connect_(Association *a)
{
    static unsigned source;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source++ % SOURCES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (a->socket < 0) die("socket");
    setsockopt(a->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(a->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(a->socket, (struct sockaddr *)&from, sizeof from)) die("bind");
    a->begun = now();
    a->inputLength = a->responseLength = a->events = 0;
    a->phase = ASSOCIATING;
    open_++;
    if (churning) begunObjects++;
    if (connect(a->socket, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail(a, "connect: %m");
    else sendAssociateRQ(a);
}

static void answered(Association *a)
{
    finished = now();
    if (ok == latencyRoom) latencies = memory(latencies, (latencyRoom = 2 * latencyRoom + 1024) * sizeof *latencies);
    latencies[ok++] = finished - a->begun;
    a->done++;
    if (a->phase == STORING && mayGoOn(a)) sendObject(a);
    else sendRelease(a);
}

static void contextsReceived(Association *a, const uint8_t *body, size_t length)
{
    int wanted = churning || holding ? ECHO_CONTEXT : STORE_CONTEXT, accepted = 0;
    uint64_t maximum = 0;
    for (size_t at = 68; at + 4 <= length; ) {
        size_t size = fromBig(body + at + 2, 2);
        if (at + 4 + size > length) break;
        if (body[at] == 0x21 && size >= 4 && body[at + 4] == wanted && body[at + 6] == 0) accepted = 1;
        if (body[at] == 0x51 && size == 4) maximum = fromBig(body + at + 4, 4);
        at += body[at] == 0x50 ? 4 : 4 + size;  /* into the user information, over everything else */
    }
    if (!accepted) return fail(a, "presentation context %d was not accepted", wanted);
    announced = maximum;
    a->fragment = (smaller(maximum ? maximum : (uint64_t)longestPDU, longestPDU) - 6) & ~(size_t)1;
    established++;
    if (holding) a->phase = HOLDING;
    else if (churning) sendEcho(a);
    else if (mayGoOn(a)) sendObject(a);
    else sendRelease(a);
}

static void responseReceived(Association *a)
{
    long field = -1, to = -1, status = -1;
    for (size_t at = 0; at + 8 <= a->responseLength; ) {
        size_t element = fromLittle(a->response + at + 2, 2), size = fromLittle(a->response + at + 4, 4);
        if (size > a->responseLength - at - 8) break;
        long value = size == 2 ? (long)fromLittle(a->response + at + 8, 2) : -1;
        if (element == 0x0100) field = value;
        if (element == 0x0120) to = value;
        if (element == 0x0900) status = value;
        at += 8 + size;
    }
    a->responseLength = 0;
    if (a->sent < a->total || field != (a->phase == STORING ? 0x8001 : 0x8030) || to != a->messageID)
        return fail(a, "command field 0x%lX to message %ld where another response was expected", field, to);
    if (status) return fail(a, "status 0x%lX", status);
    answered(a);
}

static void dataReceived(Association *a, const uint8_t *body, size_t length)
{
    for (size_t at = 0, size; at + 6 <= length; at += 4 + size) {
        size = fromBig(body + at, 4);
        if (size < 2 || size > length - at - 4 || a->responseLength + size - 2 > MESSAGE || !(body[at + 5] & 1))
            return fail(a, "a PDV of %zu bytes that is no command", size);
        memcpy(a->response + a->responseLength, body + at + 6, size - 2);
        a->responseLength += size - 2;
        if (body[at + 5] & 2) return responseReceived(a);
    }
}

static void pduReceived(Association *a, int type, const uint8_t *body, size_t length)
{
    if (type == ASSOCIATE_AC && a->phase == ASSOCIATING) contextsReceived(a, body, length);
    else if (type == P_DATA && (a->phase == STORING || a->phase == ECHOING)) dataReceived(a, body, length);
    else if (type == RELEASE_RP && a->phase == RELEASING) {
        hangUp(a);
        if (churning) {
            finished = now();
            if (mayGoOn(a)) connect_(a);
        }
    } else if (type == ASSOCIATE_RJ) fail(a, "A-ASSOCIATE-RJ %d/%d/%d", body[1], body[2], body[3]);
    else if (type == ABORT) fail(a, "A-ABORT %d/%d while %s", body[2], body[3], phases[a->phase]);
    else fail(a, "PDU of type %d while %s", type, phases[a->phase]);
}

static void receive(Association *a)
{
    ssize_t got = read(a->socket, a->input + a->inputLength, INPUT - a->inputLength);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return fail(a, "read: %m");
    if (!got) return fail(a, "the connection was closed while %s", phases[a->phase]);
    a->inputLength += got;
    while (a->phase != IDLE && a->inputLength >= 6) {
        size_t length = fromBig(a->input + 2, 4), whole = length + 6;
        int socket = a->socket;
        if (whole > INPUT || length < 4) return fail(a, "a PDU of %zu bytes", length);
        if (a->inputLength < whole) return;
        pduReceived(a, a->input[0], a->input + 6, length);
        if (a->phase == IDLE || a->socket != socket || a->inputLength < whole) return;
        memmove(a->input, a->input + whole, a->inputLength -= whole);
    }
}

/* ---- sending ---- */

/* Finds the bytes at some place of what is being sent; returns how many there are in one piece. */
static size_t piece(const Association *a, uint64_t at, const uint8_t **bytes)
{
    if (at < a->messageLength) return *bytes = a->message + at, a->messageLength - at;
    at -= a->messageLength;
    uint64_t start = at / (PDV + a->fragment) * a->fragment, within = at % (PDV + a->fragment);
    int last = a->dataLength - start <= a->fragment;
    if (within < PDV) return *bytes = (last ? a->lastPDU : a->pdu) + within, PDV - within;
    within -= PDV;
    uint64_t position = start + within;
    size_t left = smaller(a->dataLength - start, a->fragment) - within;
    if (position < headLength) return *bytes = a->head + position, smaller(left, headLength - position);
    uint64_t offset = (a->poolOffset + position - headLength) % poolLength;
    return *bytes = pool + offset, smaller(left, poolLength - offset);
}

/* Writes once; what that does not take waits until the socket takes more, and other associations have their turn. */
static void transmit(Association *a)
{
    struct iovec pieces[PIECES];
    int n = 0;
    uint64_t at = a->sent;
    for (; n < PIECES && at < a->total && at - a->sent < AT_ONCE; n++) {
        const uint8_t *bytes;
        pieces[n].iov_len = piece(a, at, &bytes);
        pieces[n].iov_base = (void *)bytes;
        at += pieces[n].iov_len;
    }
    ssize_t written = n ? writev(a->socket, pieces, n) : 0;
    if (written < 0 && errno != EAGAIN && errno != ENOTCONN) return fail(a, "write: %m");
    if (written > 0) a->sent += written;
    watch(a, a->sent < a->total ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_(Association *a, Phase phase, uint8_t *end, uint64_t dataLength)
{
    a->phase = phase;
    a->messageLength = end - a->message;
    a->dataLength = dataLength;
    a->sent = 0;
    a->total = a->messageLength + dataLength;
    if (dataLength) a->total += (dataLength + a->fragment - 1) / a->fragment * PDV;
    if (a->events || phase != ASSOCIATING) transmit(a);
    else watch(a, EPOLLIN | EPOLLOUT);          /* not connected yet */
}

/* ---- the whole ---- */

static int ascending(const void *one, const void *other)
{
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

static double percentile(double part) { return ok ? latencies[(long)((ok - 1) * part)] : 0; }

static void report(const Association *all)
{
    struct rusage usage;
    long least = all[0].done, most = 0;
    getrusage(RUSAGE_SELF, &usage);
    for (long i = 0; i < count; i++) {
        if (all[i].done < least) least = all[i].done;
        if (all[i].done > most) most = all[i].done;
    }
    qsort(latencies, ok, sizeof *latencies, ascending);
    for (char *c = reason; *c; c++) if (*c == '"' || *c == '\\') *c = '\'';
    printf("{\"ok\": %ld, \"failed\": %ld, \"reason\": \"%s\", \"seconds\": %.6f, \"cpu\": %.6f, \"announced\": %ld,"
           " \"least\": %ld, \"most\": %ld, \"latency\": {\"50\": %.7f, \"90\": %.7f, \"99\": %.7f, \"100\": %.7f}}\n",
           ok, failed, reason, ok ? finished - started : 0,
           usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           announced, least, most, percentile(.5), percentile(.9), percentile(.99), percentile(1));
}

static void waitForInput(Association *all)
{
    char byte;
    printf("ready %ld\n", open_);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    started = now();
    for (long i = 0; i < count; i++) {
        if (all[i].phase != HOLDING) continue;
        all[i].begun = now();
        sendEcho(&all[i]);
    }
}

static void loop(Association *all)
{
    struct epoll_event events[256];
    int waited = 0;
    while (open_) {
        double left = started + timeout - now();
        if (holding && !waited && established + failed >= count) {
            waitForInput(all);
            waited = 1;
            continue;
        }
        int n = left > 0 ? epoll_wait(epoll, events, 256, left * 1000 + 1) : 0;
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (long i = 0; !n && i < count; i++)
            if (all[i].phase != HOLDING) fail(&all[i], "nothing in %g s while %s", timeout, phases[all[i].phase]);
        for (int i = 0; i < n; i++) {
            Association *a = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(a);
            else if (a->phase != IDLE) transmit(a);
        }
    }
}

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    for (int i = 1; i < argc; i++) set(argv[i]);
    signal(SIGTERM, stop);
    churning = !strcmp(mode, "churn");
    holding = !strcmp(mode, "hold");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (!churning && !holding) {
        head = contentOf(headFile, &headLength);
        pool = contentOf(poolFile, &poolLength);
    }
    if ((epoll = epoll_create1(0)) < 0) die("epoll_create1");
    Association *all = memory(0, count * sizeof *all);
    memset(all, 0, count * sizeof *all);
    for (long i = 0; i < count; i++) {
        all[i].head = memory(0, headLength + 1);
        if (headLength) memcpy(all[i].head, head, headLength);
    }
    started = now();
    for (long i = 0; i < count; i++) connect_(&all[i]);
    loop(all);
    report(all);
    return failed ? 1 : 0;
}
