/*
 * The ideal receiver, to measure senders with: answers every C-STORE as soon as it has come, and keeps nothing.
 *
 *     sink each=N longest-pdu=N head=FILE pool=FILE pixels=N uid=PREFIX uid-offset=N         (settings.h has all of them)
 *
 * It prints "ready PORT", and serves one association. Every byte is compared, as it comes, with what objects.py makes,
 * of numbers below `each`; longest-pdu is what it announces. Whatever is not as it has to be ends the association. One
 * line of JSON tells how it went: how many objects came whole, and the seconds from the connection to A-RELEASE-RQ.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "encoding.h"
#include "settings.h"

enum { ASSOCIATE_RQ = 1, ASSOCIATE_AC = 2, P_DATA = 4, RELEASE_RQ = 5, RELEASE_RP = 6 };
enum { SMALL = 1 << 14, PDU = 6, PDV = 6, UID = 64, NUMBER_DIGITS = 12, C_STORE_RQ = 0x0001, NO_DATA_SET = 0x0101 };

static uint8_t buffer[1 << 18], *head, *pool, *seen;
static size_t at, end, headLength, poolLength;
static int peer;
static const int on = 1;

static uint8_t set_[1024];                      /* the command set */
static size_t setLength;
static uint64_t number, compared;               /* of the object that is coming, and bytes of it that have come */
static int storing;                             /* whether one is coming */
static long whole;
static const char *reason = "";

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int fail(const char *why)
{
    if (!*reason) reason = why;
    return 0;
}

/* ---- bytes; each function returns 0 when there are no more ---- */

static int fill(void)
{
    memmove(buffer, buffer + at, end - at);     /* a part of a header at most */
    end -= at;
    at = 0;
    ssize_t got = read(peer, buffer + end, sizeof buffer - end);
    if (got <= 0) return fail("the connection was closed");
    /* Who writes in pieces, with Nagle's algorithm on, waits for this before the next; so storescp does likewise. */
    if (got < SMALL) setsockopt(peer, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    end += got;
    return 1;
}

static const uint8_t *take(size_t length)
{
    if (length > sizeof buffer) return fail("a PDU is too long"), NULL;
    while (end - at < length) if (!fill()) return NULL;
    at += length;
    return buffer + at - length;
}

static size_t takeSome(size_t most, const uint8_t **bytes)
{
    if (at == end && !fill()) return 0;
    size_t length = smaller(most, end - at);
    *bytes = buffer + at;
    at += length;
    return length;
}

static int answer(const uint8_t *bytes, size_t length)
{
    return write(peer, bytes, length) == (ssize_t)length || fail("an answer could not be sent");
}

/* ---- associations ---- */

/* Accepts a presentation context, in explicit VR little endian if that is proposed. */
static uint8_t *accept_(uint8_t *to, const uint8_t *proposed, size_t length)
{
    char syntax[UID + 1] = "";
    for (size_t i = 4; i + 4 <= length; i += 4 + fromBig(proposed + i + 2, 2)) {
        size_t size = fromBig(proposed + i + 2, 2);
        if (proposed[i] != 0x40 || size > UID || i + 4 + size > length) continue;
        if (*syntax && (size != strlen(transferSyntax) || memcmp(proposed + i + 4, transferSyntax, size))) continue;
        memcpy(syntax, proposed + i + 4, size);
        syntax[size] = 0;
    }
    uint8_t *start = to;
    to = item(big(big(to, 4, 0x21000000), 4, (uint64_t)proposed[0] << 24), 0x40, syntax);
    closeItem(start, to);
    return to;
}

static int associate(const uint8_t *body, size_t length)
{
    static uint8_t accepted[1 << 15];
    if (length < 68) return fail("an A-ASSOCIATE-RQ is too short");
    uint8_t *to = big(accepted, 6, (uint64_t)ASSOCIATE_AC << 40), *start;
    memcpy(to, body, 68);
    to = item(to + 68, 0x10, "1.2.840.10008.3.1.1.1");
    for (size_t i = 68; i + 4 <= length; i += 4 + fromBig(body + i + 2, 2)) {
        size_t size = fromBig(body + i + 2, 2);
        if (i + 4 + size > length) return fail("an item of the A-ASSOCIATE-RQ is too long");
        if (body[i] == 0x20 && size > 8) to = accept_(to, body + i + 4, size);
    }
    start = to;
    to = big(big(big(to, 4, 0x50000000), 4, 0x51000004), 4, longestPDU);
    to = item(to, 0x52, "2.25.77130459172936412907211953462810173395");
    closeItem(start, to);
    big(accepted + 2, 4, to - accepted - PDU);
    return answer(accepted, to - accepted);
}

static int respond(int context)
{
    uint8_t message[1024], *set = message + PDU + PDV, *to = set + 12;
    uint64_t messageID = 0;
    char class[UID + 1] = "", instance[UID + 1] = "";
    for (size_t i = 0; i + 8 <= setLength; i += 8 + fromLittle(set_ + i + 4, 4)) {
        size_t element = fromLittle(set_ + i + 2, 2), size = smaller(fromLittle(set_ + i + 4, 4), setLength - i - 8);
        if (element == 0x0110) messageID = fromLittle(set_ + i + 8, 2);
        if (element == 0x0002) memcpy(class, set_ + i + 8, smaller(size, UID));
        if (element == 0x1000) memcpy(instance, set_ + i + 8, smaller(size, UID));
    }
    to = element16(element16(elementUID(to, 0x0002, class), 0x0100, 0x8000 | C_STORE_RQ), 0x0120, messageID);
    to = elementUID(element16(element16(to, 0x0800, NO_DATA_SET), 0x0900, 0), 0x1000, instance);
    little(little(little(set, 4, 0), 4, 4), 4, to - set - 12);
    big(big(message, 2, P_DATA << 8), 4, to - set + PDV);
    big(big(big(message + PDU, 4, to - set + 2), 1, context), 1, 3);
    setLength = 0;
    return answer(message, to - message);
}

/* ---- objects ---- */

/* Finds out which object is going to come. */
static int begin(void)
{
    char uid[UID + 1] = "";
    size_t prefix = strlen(uidPrefix);
    for (size_t i = 0; i + 8 <= setLength; i += 8 + fromLittle(set_ + i + 4, 4)) {
        size_t element = fromLittle(set_ + i + 2, 2), size = smaller(fromLittle(set_ + i + 4, 4), setLength - i - 8);
        if (element == 0x1000) memcpy(uid, set_ + i + 8, smaller(size, UID));
        if (element == 0x0100 && fromLittle(set_ + i + 8, 2) != C_STORE_RQ) return fail("a command is no C-STORE-RQ");
    }
    if (memcmp(uid, uidPrefix, prefix) || strlen(uid) != prefix + NUMBER_DIGITS) return fail("an object has a wrong UID");
    number = strtoull(uid + prefix, NULL, 10);
    if (number >= (uint64_t)each || seen[number]) return fail("an object has a wrong number");
    text(head + uidOffset, uid);
    compared = 0;
    return storing = 1;
}

static int compare(const uint8_t *bytes, size_t length)
{
    while (length) {
        const uint8_t *expected = head + compared;
        size_t size = smaller(headLength - compared, length);
        if (compared >= headLength) {
            size_t offset = (number * 524287 + compared - headLength) % poolLength;
            expected = pool + offset;
            size = smaller(poolLength - offset, length);
        }
        if (compared + size > headLength + pixelLength || memcmp(bytes, expected, size)) return fail("an object is damaged");
        bytes += size;
        length -= size;
        compared += size;
    }
    return 1;
}

static int finish(int context)
{
    if (compared != headLength + pixelLength) return fail("an object is cut short");
    storing = 0;
    seen[number] = 1;
    whole++;
    return respond(context);
}

static int fragment(const uint8_t *bytes, size_t length, int isCommand)
{
    if (isCommand == storing) return fail("a command or a data set came at the wrong time");
    if (!isCommand) return compare(bytes, length);
    if (setLength + length > sizeof set_) return fail("a command set is too long");
    memcpy(set_ + setLength, bytes, length);
    setLength += length;
    return 1;
}

static int data(size_t left)
{
    while (left) {
        const uint8_t *header = take(PDV), *bytes;
        if (!header) return 0;
        size_t length = fromBig(header, 4), size;
        int context = header[4], control = header[5];
        if (left < PDV || length < 2 || length > left - 4) return fail("a PDV is too long");
        left -= 4 + length;
        for (length -= 2; length; length -= size) {
            size = takeSome(length, &bytes);
            if (!size || !fragment(bytes, size, control & 1)) return 0;
        }
        if (control & 2 && !(control & 1 ? begin() : finish(context))) return 0;
    }
    return 1;
}

/* ---- the whole ---- */

static void serve(void)
{
    double begun = now(), seconds = 0;
    for (const uint8_t *header; (header = take(PDU)); ) {
        int type = header[0];
        size_t length = fromBig(header + 2, 4);
        if (type == P_DATA) {
            if (length > (size_t)longestPDU) fail("a PDU is longer than was announced");
            if (*reason || !data(length)) break;
            continue;
        }
        const uint8_t *body = take(length);
        if (!body) break;
        if (type == RELEASE_RQ) {
            uint8_t released[PDU + 4];
            seconds = now() - begun;
            big(big(released, PDU, (uint64_t)RELEASE_RP << 40 | 4), 4, 0);
            answer(released, sizeof released);
            break;
        }
        if (type != ASSOCIATE_RQ) fail("a PDU has a type that was not expected");
        if (*reason || !associate(body, length)) break;
    }
    printf("{\"whole\": %ld, \"seconds\": %.6f, \"reason\": \"%s\"}\n", whole, seconds, reason);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) set(argv[i]);
    signal(SIGPIPE, SIG_IGN);
    head = contentOf(headFile, &headLength);
    pool = contentOf(poolFile, &poolLength);
    seen = memory(0, each);
    memset(seen, 0, each);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listening < 0 || bind(listening, (void *)&address, size) || listen(listening, 8)) die("listen");
    getsockname(listening, (void *)&address, &size);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    peer = accept(listening, NULL, NULL);
    if (peer < 0) die("accept");
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    serve();
    return 0;
}
