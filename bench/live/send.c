/* Sends the packets of a pcap file over an interface, at a rate or as fast as it goes, and prints what it sent as JSON.

   send INTERFACE FILE PACKETS_A_SECOND SECONDS     rate 0: as fast as it goes

   The file is read to its end again and again. In each further round the IPv4 addresses' second byte is moved on by one,
   and back after eight rounds, so that flows are new and come and go among a site's number of addresses; checksums are left as they are, and receivers are told not to look at them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, FILE_HEADER = 24, RECORD = 16, ETHERNET = 14, LARGEST = 1514, CYCLE = 8 };

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return moment.tv_sec + moment.tv_nsec * 1e-9;
}

static void wait_until(double due) {
    double left = due - now();
    if (left < 100e-6) return;
    struct timespec pause = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
    nanosleep(&pause, NULL);
}

static int fail(const char *what) {
    perror(what);
    return 1;
}

static uint8_t *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) return NULL;
    *size = ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size);
    if (data && fread(data, 1, *size, file) != *size) data = NULL;
    fclose(file);
    return data;
}

int main(int count, char **words) {
    if (count != 5) return fprintf(stderr, "send INTERFACE FILE PACKETS_A_SECOND SECONDS\n"), 2;
    size_t size = 0;
    uint8_t *data = read_all(words[2], &size);
    if (!data || size <= FILE_HEADER + RECORD) return fail(words[2]);
    double rate = atof(words[3]), seconds = atof(words[4]);

    int wire = socket(AF_PACKET, SOCK_RAW, 0), yes = 1, room = 1 << 24;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(words[1])};
    if (wire < 0 || bind(wire, (struct sockaddr *)&to, sizeof to)) return fail(words[1]);
    setsockopt(wire, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
    setsockopt(wire, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);

    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) messages[i].msg_hdr.msg_iov = &parts[i], messages[i].msg_hdr.msg_iovlen = 1;
    size_t at = FILE_HEADER;
    uint64_t sent = 0, refused = 0, rounds = 0;
    int step = 0;
    double begin = now(), end = begin + seconds;
    while (now() < end) {
        for (int i = 0; i < BATCH; i++) {
            uint32_t held = 0;
            if (at + RECORD <= size) memcpy(&held, data + at + 8, 4);
            if (!held || at + RECORD + held > size) {
                at = FILE_HEADER, rounds++;
                step = rounds % CYCLE ? 1 : 1 - CYCLE;
                memcpy(&held, data + at + 8, 4);
            }
            uint8_t *frame = data + at + RECORD;
            if (rounds && held > ETHERNET + 20 && frame[12] == 8 && frame[13] == 0) frame[27] += step, frame[31] += step;
            parts[i].iov_base = frame;
            parts[i].iov_len = held > LARGEST ? LARGEST : held;
            at += RECORD + held;
        }
        for (int done = 0; done < BATCH;) {
            int some = sendmmsg(wire, messages + done, BATCH - done, 0);
            if (some > 0) done += some, sent += some;
            else if (++refused > 1000000) return fail("sendmmsg");
        }
        if (rate > 0) wait_until(begin + sent / rate);
    }
    double took = now() - begin;
    printf("{\"sent\": %llu, \"seconds\": %.3f, \"refused\": %llu}\n", (unsigned long long)sent, took, (unsigned long long)refused);
    return 0;
}
