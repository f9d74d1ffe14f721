/*
 * Serial frame logger for a heating controller.
 *
 * Frame layout:  0x7E | type | length | payload... | crc16 (little endian)
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_START   0x7Eu
#define MAX_PAYLOAD   64
#define RING_SIZE     256 /* must be a power of two */
#define RING_MASK     (RING_SIZE - 1)
#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))

enum frame_type {
  FRAME_PING     = 0x01,
  FRAME_TEMP     = 0x10,
  FRAME_SETPOINT = 0x11,
  FRAME_ALARM    = 0xA0,
};

typedef struct {
  uint8_t data[RING_SIZE];
  unsigned head, tail;
} ring_buffer;

typedef struct {
  uint8_t type;
  uint8_t length;
  uint8_t payload[MAX_PAYLOAD];
} frame_t;

struct config {
  char device[128];
  long baud_rate;
  int alarm_above; /* tenths of a degree */
  bool verbose;
};

typedef int (*frame_handler)(const frame_t *frame, void *user_data);

struct handler_entry {
  uint8_t type;
  const char *name;
  frame_handler handle;
};

static bool ring_put(ring_buffer *rb, uint8_t byte)
{
  unsigned next = (rb->head + 1) & RING_MASK;
  if (next == rb->tail)
    return false; /* full */
  rb->data[rb->head] = byte;
  rb->head = next;
  return true;
}

static size_t ring_count(const ring_buffer *rb)
{
  return (rb->head - rb->tail) & RING_MASK;
}

static uint8_t ring_peek(const ring_buffer *rb, size_t offset)
{
  return rb->data[(rb->tail + offset) & RING_MASK];
}

/* CRC-16 with polynomial 0x1021, initial value 0xFFFF. */
static uint16_t crc16_update(uint16_t crc, uint8_t byte)
{
  crc ^= (uint16_t)(byte << 8);
  for (int bit = 0; bit < 8; bit++)
    crc = (crc & 0x8000) ? (uint16_t)((crc << 1) ^ 0x1021) : (uint16_t)(crc << 1);
  return crc;
}

/* Returns 1 if a frame was read, 0 if more bytes are needed, -1 on a bad CRC. */
static int next_frame(ring_buffer *rb, frame_t *out)
{
  while (ring_count(rb) > 0 && ring_peek(rb, 0) != FRAME_START)
    rb->tail = (rb->tail + 1) & RING_MASK;
  if (ring_count(rb) < 5)
    return 0;

  out->type = ring_peek(rb, 1);
  out->length = ring_peek(rb, 2);
  if (out->length > MAX_PAYLOAD) {
    rb->tail = (rb->tail + 1) & RING_MASK;
    return -1;
  }
  size_t total = (size_t)out->length + 5;
  if (ring_count(rb) < total)
    return 0;

  uint16_t crc = 0xFFFF;
  crc = crc16_update(crc, out->type);
  crc = crc16_update(crc, out->length);
  for (size_t i = 0; i < out->length; i++) {
    out->payload[i] = ring_peek(rb, 3 + i);
    crc = crc16_update(crc, out->payload[i]);
  }
  uint16_t sent = (uint16_t)(ring_peek(rb, total - 2) | ring_peek(rb, total - 1) << 8);
  rb->tail = (unsigned)(rb->tail + (sent == crc ? total : 1)) & RING_MASK;
  return sent == crc ? 1 : -1;
}

static char *trim(char *s)
{
  while (isspace((unsigned char)*s))
    s++;
  char *end = s + strlen(s);
  while (end > s && isspace((unsigned char)end[-1]))
    *--end = '\0';
  return s;
}

static int load_config(const char *path, struct config *cfg)
{
  char line[256];
  int lineno = 0;
  FILE *fp = fopen(path, "r");
  if (fp == NULL) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return -1;
  }
  while (fgets(line, sizeof line, fp) != NULL) {
    lineno++;
    char *eq = strchr(line, '=');
    if (line[0] == '#' || eq == NULL)
      continue;
    *eq = '\0';
    const char *key = trim(line);
    const char *value = trim(eq + 1);
    if (strcmp(key, "device") == 0)
      snprintf(cfg->device, sizeof cfg->device, "%s", value);
    else if (strcmp(key, "baud_rate") == 0)
      cfg->baud_rate = strtol(value, NULL, 10);
    else if (strcmp(key, "alarm_above") == 0)
      cfg->alarm_above = atoi(value);
    else
      fprintf(stderr, "%s:%d: unknown key '%s'\n", path, lineno, key);
  }
  fclose(fp);
  return 0;
}

static int on_temperature(const frame_t *frame, void *user_data)
{
  const struct config *cfg = user_data;
  if (frame->length < 3)
    return -EINVAL;
  int16_t tenths = (int16_t)(frame->payload[1] | frame->payload[2] << 8);
  printf("zone %u: %.1f C%s\n", (unsigned)frame->payload[0], tenths / 10.0,
         tenths > cfg->alarm_above ? "  ** too hot **" : "");
  return 0;
}

static const struct handler_entry handlers[] = {
  { FRAME_PING,     "ping",        NULL },
  { FRAME_TEMP,     "temperature", on_temperature },
  { FRAME_SETPOINT, "setpoint",    NULL },
};

int main(int argc, char *argv[])
{
  struct config cfg = { .device = "/dev/ttyS0", .baud_rate = 19200, .alarm_above = 855 };
  ring_buffer rb = { .head = 0 };
  uint32_t errors = 0;
  frame_t frame;
  int c, rc;

  if (argc > 1 && load_config(argv[1], &cfg) != 0)
    return EXIT_FAILURE;
  FILE *port = fopen(cfg.device, "rb");
  if (!port) {
    perror(cfg.device);
    return EXIT_FAILURE;
  }
  while ((c = fgetc(port)) != EOF) {
    if (!ring_put(&rb, (uint8_t)c))
      errors++;
    while ((rc = next_frame(&rb, &frame)) != 0) {
      if (rc < 0) {
        errors++;
        continue;
      }
      for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (handlers[i].type == frame.type && handlers[i].handle)
          handlers[i].handle(&frame, &cfg);
    }
  }
  printf("%" PRIu32 " bad frames\n", errors);
  fclose(port);
  return EXIT_SUCCESS;
}
