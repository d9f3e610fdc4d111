/* The least that a dial costs: sockets, one epoll set, nothing kept of the result but a count.
 *
 * `dialer IN_FLIGHT`: each line on stdin is an order, PORT DIALS RATE; a rate of 0 means as fast
 * as IN_FLIGHT dials at once allow, any other that many per second, a wake-up for each. Each order
 * is answered by one line of JSON. What connects is asked for TCP_INFO, as probe does, and closed
 * by RST. There are no deadlines: it is a yardstick, and stands still if a target says nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES = 2000, EVENTS = 512 };

static struct sockaddr_in targets[ADDRESSES];
static long connected, refused, failed;

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void failure(int error) {
    if (error == ECONNREFUSED)
        refused++;
    else
        failed++;
}

/* Begins one dial; 1 if it is now in flight. */
static int begin(int epoll, const struct sockaddr_in *target) {
    static const struct linger abort_on_close = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        failure(errno);
        return 0;
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close);
    if (connect(fd, (const struct sockaddr *)target, sizeof *target) && errno != EINPROGRESS) {
        failure(errno);
        close(fd);
        return 0;
    }
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return 1;
}

static void finish(int fd, unsigned events) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    int error = 0;
    if (events & EPOLLERR) {
        size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    } else {
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    }
    if (error)
        failure(error);
    else
        connected++;
    close(fd);
}

static int timer_at(int epoll, long rate) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct timespec gap = {rate == 1, rate == 1 ? 0 : 1000000000 / rate};
    struct itimerspec every = {gap, gap};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    timerfd_settime(fd, 0, &every, NULL);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

static void serve(int epoll, long dials, long rate, long limit) {
    struct epoll_event events[EVENTS];
    long begun = 0, in_flight = 0, due = rate ? 0 : dials;
    int timer = rate ? timer_at(epoll, rate) : -1;
    while (begun < dials || in_flight) {
        for (; begun < dials && begun < due && in_flight < limit; begun++)
            in_flight += begin(epoll, &targets[begun % ADDRESSES]);
        int found = epoll_wait(epoll, events, EVENTS, in_flight || rate ? -1 : 0);
        for (int i = 0; i < found; i++) {
            unsigned long long ticks;
            if (events[i].data.fd != timer) {
                finish(events[i].data.fd, events[i].events);
                in_flight--;
            } else if (read(timer, &ticks, sizeof ticks) == sizeof ticks) {
                due += ticks;
            }
        }
    }
    if (rate)
        close(timer);
}

int main(int argc, char **argv) {
    long port, dials, rate, limit = argc > 1 ? atol(argv[1]) : 64;
    int epoll = epoll_create1(0);
    while (scanf("%ld %ld %ld", &port, &dials, &rate) == 3) {
        for (int i = 0; i < ADDRESSES; i++) {
            targets[i].sin_family = AF_INET;
            targets[i].sin_port = htons(port);
            /* 127.77.0.1 and on, 250 in each /24: as in engines.py and dialer.go */
            targets[i].sin_addr.s_addr = htonl(0x7f4d0001 + (i / 250 << 8) + i % 250);
        }
        connected = refused = failed = 0;
        double spent = cpu(), began = now();
        serve(epoll, dials, rate, limit);
        spent = cpu() - spent;
        printf("{\"connected\": %ld, \"refused\": %ld, \"failed\": %ld, \"cpu\": %.6f, \"wall\": %.6f}\n",
               connected, refused, failed, spent, now() - began);
        fflush(stdout);
    }
    return 0;
}
