/* How numbers, items of PS3.8 and command elements of PS3.7 are written and read: each writer returns where it ends. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static size_t smaller(uint64_t one, uint64_t other) { return one < other ? one : other; }

static uint8_t *big(uint8_t *to, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++) to[i] = value >> 8 * (bytes - 1 - i);
    return to + bytes;
}

static uint8_t *little(uint8_t *to, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++) to[i] = value >> 8 * i;
    return to + bytes;
}

static uint64_t fromBig(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    while (bytes--) value = value << 8 | *from++;
    return value;
}

static uint64_t fromLittle(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    while (bytes--) value = value << 8 | from[bytes];
    return value;
}

static uint8_t *text(uint8_t *to, const char *value)
{
    size_t length = strlen(value);
    memcpy(to, value, length);
    return to + length;
}

static inline uint8_t *title(uint8_t *to, const char *value)
{
    memset(to, ' ', 16);
    memcpy(to, value, smaller(strlen(value), 16));
    return to + 16;
}

/* An item or sub-item of PS3.8 9.3.2: type, a reserved byte, length, value. */
static uint8_t *item(uint8_t *to, int type, const char *value)
{
    return text(big(big(to, 2, type << 8), 2, strlen(value)), value);
}

/* Writes into a header of 4 bytes how long what follows it has become. */
static void closeItem(uint8_t *start, uint8_t *end) { big(start + 2, 2, end - start - 4); }

static uint8_t *element16(uint8_t *to, int element, int value)
{
    return little(little(little(little(to, 2, 0), 2, element), 4, 2), 2, value);
}

static uint8_t *elementUID(uint8_t *to, int element, const char *uid)
{
    size_t length = strlen(uid);
    to = text(little(little(little(to, 2, 0), 2, element), 4, length + length % 2), uid);
    if (length % 2) *to++ = 0;
    return to;
}
