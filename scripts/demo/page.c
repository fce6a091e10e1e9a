/*
 * The program that the demo's devices run: a web page that shows the release of this program and
 * the configuration file beside it, read anew for every visitor. One static executable, nothing
 * else needed on the device. Environment: PORT, DEVICE, CONFIG.
 *
 * Built as release 1 and 2, and as release 3 with -DCRASHES: that one dies soon after its start.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef RELEASE
#define RELEASE "0"
#endif

enum { CONFIG_MAX = 4096, REQUEST_MAX = 4096, ANSWER_MAX = 16384 };

static const char *setting(const char *name) {
  const char *value = getenv(name);
  if (value != NULL && *value != '\0') return value;
  fprintf(stderr, "page: %s is not set\n", name);
  exit(2);
}

/* The file as HTML text; says so when it cannot be read. */
static void read_config(const char *path, char *html, size_t size) {
  char raw[CONFIG_MAX];
  size_t length = 0, at = 0;
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    snprintf(html, size, "no configuration\n");
    return;
  }
  length = fread(raw, 1, sizeof raw, file);
  fclose(file);
  for (size_t i = 0; i < length && at + 8 < size; i++) {
    if (raw[i] == '<') at += (size_t)snprintf(html + at, size - at, "&lt;");
    else if (raw[i] == '&') at += (size_t)snprintf(html + at, size - at, "&amp;");
    else html[at++] = raw[i];
  }
  html[at] = '\0';
}

static void send_all(int visitor, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(visitor, bytes, length, MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes += sent;
    length -= (size_t)sent;
  }
}

static void answer(int visitor, const char *device, const char *config_path) {
  char request[REQUEST_MAX + 1], config[2 * CONFIG_MAX], body[ANSWER_MAX], head[256];
  struct timeval patience = {.tv_sec = 1};
  size_t got = 0;
  setsockopt(visitor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(visitor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  do {
    ssize_t more = recv(visitor, request + got, REQUEST_MAX - got, 0);
    if (more <= 0) return;
    got += (size_t)more;
    request[got] = '\0';
  } while (strstr(request, "\r\n\r\n") == NULL && got < REQUEST_MAX);
  read_config(config_path, config, sizeof config);
  int length = snprintf(body, sizeof body,
                        "<!doctype html><title>%s</title><h1>%s</h1>\n"
                        "<p>release %s, process %d\n<pre>%s</pre>\n",
                        device, device, RELEASE, (int)getpid(), config);
  int head_length = snprintf(head, sizeof head,
                             "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
                             "Content-Length: %d\r\nConnection: close\r\n\r\n", length);
  send_all(visitor, head, (size_t)head_length);
  send_all(visitor, body, (size_t)length);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--version") == 0) return puts(RELEASE) < 0;
  const char *device = setting("DEVICE"), *config = setting("CONFIG");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(setting("PORT")))};
  int yes = 1, door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(door, (struct sockaddr *)&address, sizeof address) != 0 || listen(door, 16) != 0) {
    perror("page: cannot listen");
    return 1;
  }
  printf("page: release %s of %s answers at 127.0.0.1:%s\n", RELEASE, device, setting("PORT"));
  fflush(stdout);
#ifdef CRASHES
  ualarm(300000, 0); /* SIGALRM, which nobody handles, after 0.3 s */
#endif
  for (;;) {
    int visitor = accept(door, NULL, NULL);
    if (visitor < 0) continue;
    answer(visitor, device, config);
    close(visitor);
  }
}
