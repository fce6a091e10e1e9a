// The least work between "nudged" and "applied", natively: what `npm run bench` measures the agent
// beside. It follows the same nudges to the same artifacts in the same registry, and does the same
// steps: fetch by digest, SHA-256, Ed25519 over the DSSE encoding, a staged file, fsyncs, an LMDB
// commit of the intent, rename, an LMDB commit of the end. Nothing else: no plan, no health, no
// status, no refusals.
//
//   native MQTTPORT REGISTRYPORT REPOSITORY DIR TOPIC KEYHEX
//
// Topic TOPIC/same: the requests that the agent makes (the manifest, which has the envelope and the
// small blob in it). TOPIC/designed: HEAD by tag, manifest, envelope, blob. One line per change on stdout:
//   sequence wokenMs endedMs httpMs cryptoMs fileMs commitMs        (Unix ms)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void sha256(const uint8_t *bytes, size_t length, uint8_t out[32]);
int ed25519_verify(const uint8_t signature[64], const uint8_t *message, size_t length, const uint8_t key[32]);

typedef struct { uint8_t *bytes; size_t length, cap; } Buffer;

static void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  exit(1);
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);  // Bun's monotonic clock counts from its own start
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static void hex_of(const uint8_t *bytes, size_t n, char *out) {
  for (size_t i = 0; i < n; i++) sprintf(out + 2 * i, "%02x", bytes[i]);
}
static int open_socket(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("port %d: %s", port, strerror(errno));
  return fd;
}
static void send_all(int fd, const void *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t sent = write(fd, (const char *)bytes + done, n - done);
    if (sent <= 0) die("write: %s", strerror(errno));
    done += sent;
  }
}
static void receive(int fd, uint8_t *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = read(fd, bytes + done, n - done);
    if (got <= 0) die("the peer closed");
    done += got;
  }
}

// --- HTTP: one connection, kept alive ---
static int http_fd;
static const char *repository;
static char tag_digest[80];
static void http(const char *method, const char *path, Buffer *body) {
  static char text[16384];
  int n = snprintf(text, sizeof text,
    "%s /v2/%s/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\n\r\n", method, repository, path);
  send_all(http_fd, text, n);
  size_t have = 0;
  char *end = NULL;
  while (!end) {
    ssize_t got = read(http_fd, text + have, sizeof text - 1 - have);
    if (got <= 0) die("%s %s: closed", method, path);
    text[have += got] = 0;
    end = strstr(text, "\r\n\r\n");
  }
  if (strncmp(text, "HTTP/1.1 200", 12)) die("%s %s: %.40s", method, path, text);
  char *header = strcasestr(text, "docker-content-digest: ");
  if (header) snprintf(tag_digest, sizeof tag_digest, "%.71s", header + 23);
  if (!body) return;
  header = strcasestr(text, "content-length: ");
  if (!header) die("%s: no length", path);
  size_t length = strtoul(header + 16, NULL, 10), early = have - (end + 4 - text);
  if (length > body->cap - 1) die("%s: too large", path);
  memcpy(body->bytes, end + 4, early);
  receive(http_fd, body->bytes + early, length - early);
  body->bytes[body->length = length] = 0;
}
static void need_digest(const Buffer *what, const char *hex) {
  uint8_t hash[32];
  char found[65];
  sha256(what->bytes, what->length, hash);
  hex_of(hash, 32, found);
  if (strncmp(found, hex, 64)) die("wrong digest");
}

// --- JSON and base64, for bytes whose digest is already checked ---
static char *after(char *text, const char *what) {
  char *found = text ? strstr(text, what) : NULL;
  if (!found) die("no %s", what);
  return found + strlen(what);
}
static size_t base64(const char *text, uint8_t *out) {
  size_t n = 0;
  uint32_t bits = 0;
  int have = 0;
  for (; *text && *text != '"' && *text != '='; text++) {
    char c = *text;
    int v = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 71 : c >= '0' && c <= '9' ? c + 4 : c == '+' ? 62 : 63;
    bits = bits << 6 | v;
    if ((have += 6) >= 8) out[n++] = bits >> (have -= 8);
  }
  return n;
}
/** The digest (hex) of the layer that follows `mediatype`. */
static char *layer(char *manifest, const char *media_type) {
  char *at = after(manifest, media_type);
  return after(at, "\"digest\":\"sha256:");
}

static uint8_t key[32];
static void verify(char *envelope) {
  static uint8_t message[1 << 18], payload[1 << 18];
  uint8_t signature[80];
  const char *type = "application/vnd.holdfast.desired-state.v1+protobuf";
  size_t n = base64(after(envelope, "\"payload\":\""), payload);
  base64(after(envelope, "\"sig\":\""), signature);
  int head = sprintf((char *)message, "DSSEv1 %zu %s %zu ", strlen(type), type, n);
  memcpy(message + head, payload, n);
  if (!ed25519_verify(signature, message, head + n, key)) die("bad signature");
}

// --- the disk ---
static MDB_env *env;
static MDB_dbi dbi;
static char target[400], stage[400];
static int target_fd, stage_fd;
static void commit(uint64_t sequence, const void *record, size_t n) {
  MDB_txn *txn;
  MDB_val name = {5, "state"}, value = {n, (void *)record}, name2 = {3, "seq"}, value2 = {8, &sequence};
  if (mdb_txn_begin(env, NULL, 0, &txn) || mdb_put(txn, dbi, &name, &value, 0) ||
      mdb_put(txn, dbi, &name2, &value2, 0) || mdb_txn_commit(txn)) die("lmdb");
}
static void write_file(const char *path, const Buffer *what) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, what->bytes, what->length) != (ssize_t)what->length || fsync(fd)) die("%s: %s", path, strerror(errno));
  close(fd);
}

static void change(int designed, uint64_t sequence, char *manifest_hex) {
  static uint8_t m_[1 << 18], e_[1 << 18], b_[1 << 22];
  Buffer manifest = {m_, 0, sizeof m_}, envelope = {e_, 0, sizeof e_}, blob = {b_, 0, sizeof b_};
  double woken = now(), web = 0, crypto = 0, file = 0, lmdb = 0, t;
  char path[200], staged[450], name[450];
  if (designed) {
    t = now(); http("HEAD", "manifests/stable", NULL); web += now() - t;
    manifest_hex = tag_digest + 7;
  }
  snprintf(path, sizeof path, "manifests/sha256:%.64s", manifest_hex);
  t = now(); http("GET", path, &manifest); web += now() - t;
  t = now(); need_digest(&manifest, manifest_hex); crypto += now() - t;
  char *layers = after((char *)m_, "\"layers\"");
  if (designed) {
    char *digest = layer(layers, "application/vnd.holdfast.envelope.v1+json");
    snprintf(path, sizeof path, "blobs/sha256:%.64s", digest);
    t = now(); http("GET", path, &envelope); web += now() - t;
    t = now(); need_digest(&envelope, digest); crypto += now() - t;
  } else {
    envelope.length = base64(after(layer(layers, "application/vnd.holdfast.envelope.v1+json"), "\"data\":\""), e_);
    e_[envelope.length] = 0;
  }
  t = now(); verify((char *)e_); crypto += now() - t;
  char *digest = layer(layers, "\"application/octet-stream\"");
  char *along = strstr(digest, "\"data\":\"");
  if (along && !designed) {
    blob.length = base64(along + 8, b_);
  } else {
    snprintf(path, sizeof path, "blobs/sha256:%.64s", digest);
    t = now(); http("GET", path, &blob); web += now() - t;
  }
  t = now(); need_digest(&blob, digest); crypto += now() - t;
  snprintf(staged, sizeof staged, "%s/%llu", stage, (unsigned long long)sequence);
  snprintf(name, sizeof name, "%s/app.conf", target);
  t = now(); write_file(staged, &blob); if (fsync(stage_fd)) die("fsync"); file += now() - t;
  t = now(); commit(sequence, e_, envelope.length); lmdb += now() - t;
  t = now(); if (rename(staged, name) || fsync(target_fd)) die("rename"); file += now() - t;
  t = now(); commit(sequence, e_, envelope.length); lmdb += now() - t;
  printf("%llu %.4f %.4f %.4f %.4f %.4f %.4f\n", (unsigned long long)sequence, woken, now(), web, crypto, file, lmdb);
  fflush(stdout);
}

// --- MQTT 3.1.1: one subscription, QoS 1 ---
static void packet(int fd, uint8_t type, const uint8_t *body, size_t n) {
  uint8_t head[2] = {type, n};
  if (n > 127) die("packet");
  send_all(fd, head, 2);
  send_all(fd, body, n);
}
static size_t string_to(uint8_t *out, const char *text) {
  size_t n = strlen(text);
  out[0] = n >> 8; out[1] = n;
  memcpy(out + 2, text, n);
  return n + 2;
}
static uint64_t varint(const uint8_t **at) {
  uint64_t value = 0;
  for (int shift = 0; ; shift += 7) {
    uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
}
static void nudged(int designed, const uint8_t *at, const uint8_t *end) {
  uint64_t sequence = 0;
  char hex[65] = "";
  while (at < end) {
    uint64_t tag = varint(&at);
    uint64_t value = varint(&at);
    if (tag == (3 << 3)) sequence = value;
    if (tag == (5 << 3 | 2) && value == 32) hex_of(at, 32, hex);
    if ((tag & 7) == 2) at += value;
  }
  change(designed, sequence, hex);
}
int main(int argc, char **argv) {
  if (argc != 7) die("native MQTTPORT REGISTRYPORT REPOSITORY DIR TOPIC KEYHEX");
  char *dir = argv[4], *topic = argv[5];
  repository = argv[3];
  for (int i = 0; i < 32; i++) { unsigned byte; sscanf(argv[6] + 2 * i, "%2x", &byte); key[i] = byte; }
  char store[400];
  snprintf(store, sizeof store, "%s/store", dir);
  snprintf(target, sizeof target, "%s/target", dir);
  snprintf(stage, sizeof stage, "%s/staging", dir);
  mkdir(store, 0700); mkdir(target, 0755); mkdir(stage, 0700);
  target_fd = open(target, O_RDONLY | O_DIRECTORY);
  stage_fd = open(stage, O_RDONLY | O_DIRECTORY);
  MDB_txn *txn;
  int wrong;
  if ((wrong = mdb_env_create(&env)) || (wrong = mdb_env_set_mapsize(env, 64 << 20)) || (wrong = mdb_env_open(env, store, 0, 0600)) ||
      (wrong = mdb_txn_begin(env, NULL, 0, &txn)) || (wrong = mdb_dbi_open(txn, NULL, 0, &dbi)) || ((wrong = mdb_txn_commit(txn)) && wrong != MDB_EMPTY_TXN))
    die("lmdb open: %s", mdb_strerror(wrong));
  http_fd = open_socket(atoi(argv[2]));
  int fd = open_socket(atoi(argv[1]));
  uint8_t body[300], ack[4];
  size_t n = string_to(body, "MQTT");
  memcpy(body + n, (uint8_t[]){4, 2, 0, 0}, 4);
  n += 4;
  n += string_to(body + n, "bench-native");
  packet(fd, 0x10, body, n);
  receive(fd, ack, 4);
  char filter[200];
  snprintf(filter, sizeof filter, "%s/+", topic);
  body[0] = 0; body[1] = 1;
  n = 2 + string_to(body + 2, filter);
  body[n++] = 1;
  packet(fd, 0x82, body, n);
  receive(fd, body, 5);
  printf("ready\n");
  fflush(stdout);
  static uint8_t message[1 << 17];
  for (;;) {
    uint8_t type, byte;
    size_t length = 0;
    receive(fd, &type, 1);
    for (int shift = 0; ; shift += 7) {
      receive(fd, &byte, 1);
      length |= (size_t)(byte & 127) << shift;
      if (byte < 128) break;
    }
    if (length > sizeof message) die("message");
    receive(fd, message, length);
    if ((type & 0xf0) != 0x30) continue;
    size_t name = message[0] << 8 | message[1], at = 2 + name;
    if (type & 6) { packet(fd, 0x40, message + at, 2); at += 2; }
    int designed = name > 9 && !memcmp(message + 2 + name - 9, "/designed", 9);
    nudged(designed, message + at, message + length);
  }
}
