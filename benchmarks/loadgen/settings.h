/* The command line, NAME=VALUE each, and the files that it names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *mode = "store", *headFile = "", *poolFile = "", *uidPrefix = "2.25.1";
static const char *sopClass = "1.2.840.10008.5.1.4.1.1.7", *transferSyntax = "1.2.840.10008.1.2.1";
static const char *callingTitle = "LOADGEN", *calledTitle = "ANY-SCP";
static long port = 11112, count = 1, each = 0, first = 0, uidOffset = 0, pixelLength = 0, longestPDU = 131072, quickACK = 0;
static double seconds = 0, timeout = 60;

static const struct { const char *name; const char **text; long *number; double *real; } settings[] = {
    {"mode", &mode, 0, 0}, {"port", 0, &port, 0}, {"associations", 0, &count, 0},
    {"each", 0, &each, 0},                      /* objects on an association; 0 for no bound */
    {"seconds", 0, 0, &seconds},                /* begin no more after that time; 0 for no bound */
    {"timeout", 0, 0, &timeout},                /* give up after that time */
    {"first", 0, &first, 0},                    /* number of the first object */
    {"head", &headFile, 0, 0}, {"pool", &poolFile, 0, 0}, {"pixels", 0, &pixelLength, 0},
    {"uid", &uidPrefix, 0, 0}, {"uid-offset", 0, &uidOffset, 0},
    {"sop-class", &sopClass, 0, 0}, {"transfer-syntax", &transferSyntax, 0, 0},
    {"longest-pdu", 0, &longestPDU, 0},         /* even if the peer takes longer ones */
    {"quick-ack", 0, &quickACK, 0},             /* sink: whether TCP acknowledges at once */
    {"calling", &callingTitle, 0, 0}, {"called", &calledTitle, 0, 0},
};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void *memory(void *old, size_t size)
{
    void *got = realloc(old, size);
    if (!got) die("memory");
    return got;
}

static void *contentOf(const char *name, size_t *length)
{
    FILE *file = fopen(name, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die(name);
    *length = ftell(file);
    void *content = memory(0, *length + 1);
    rewind(file);
    if (fread(content, 1, *length, file) != *length) die(name);
    fclose(file);
    return content;
}

static void set(const char *argument)
{
    const char *value = strchr(argument, '=');
    for (size_t i = 0; value && i < sizeof settings / sizeof *settings; i++) {
        if (strlen(settings[i].name) != (size_t)(value - argument)) continue;
        if (strncmp(argument, settings[i].name, value - argument)) continue;
        if (settings[i].text) *settings[i].text = value + 1;
        else if (settings[i].number) *settings[i].number = atol(value + 1);
        else *settings[i].real = atof(value + 1);
        return;
    }
    fprintf(stderr, "loadgen: %s is no setting\n", argument);
    exit(2);
}
