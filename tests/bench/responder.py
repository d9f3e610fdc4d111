"""Answers SYNs on a tun device, each so much later as its address says.

`python -m tests.bench.responder FD JOURNAL`. It never sleeps: a core for itself is the price of
delays exact to some microseconds. It notes each in the journal, as a line of: last byte of the
address, port, seconds from reading the SYN to answering it, and for how long beyond it may not
have been looking, which is long when somebody else had its core. After the SYN-ACK it says
nothing more, whatever comes.
"""

import heapq
import os
import struct
import sys
import time

DELAYS_MS = (0.0, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0, 50.0)
"""By the last byte of the address dialed, from FIRST on."""

FIRST = 10
SYN, ACK = 0x02, 0x10

IP = struct.Struct("!BBHHHBBH4s4s")
TCP = struct.Struct("!HHIIBBHHH")
PSEUDO = struct.Struct("!4s4sBBH")


def main(device: int, journal: str) -> None:
    os.set_blocking(device, False)
    waiting: list[tuple[float, float, float, bytes]] = []
    looked = time.perf_counter()
    with open(journal, "w", buffering=1) as lines:
        while True:
            try:
                packet = os.read(device, 2048)
            except BlockingIOError:
                packet = b""
            now = time.perf_counter()
            if packet and (answer := answered(packet)):
                delay = DELAYS_MS[packet[19] - FIRST] / 1000
                heapq.heappush(waiting, (now + delay, now, now - looked, answer))
            while waiting and waiting[0][0] <= now:
                _, read, unseen, answer = heapq.heappop(waiting)
                sent = time.perf_counter()
                os.write(device, answer)
                doubt = unseen + time.perf_counter() - sent
                host, port = answer[15], int.from_bytes(answer[20:22], "big")
                print(host, port, sent - read, doubt, file=lines)
            looked = time.perf_counter()


def answered(packet: bytes) -> bytes | None:
    """The SYN-ACK to a SYN in an IPv4 packet; None to anything else."""
    if packet[0] >> 4 != 4 or packet[9] != 6:
        return None
    start = (packet[0] & 15) * 4
    source, target = packet[12:16], packet[16:20]
    here, there, sequence, _, _, flags, *_ = TCP.unpack_from(packet, start)
    if flags & (SYN | ACK) != SYN or not 0 <= packet[19] - FIRST < len(DELAYS_MS):
        return None
    tcp = TCP.pack(there, here, 1, (sequence + 1) & 0xFFFFFFFF, 5 << 4, SYN | ACK, 65535, 0, 0)
    pseudo = PSEUDO.pack(target, source, 0, 6, len(tcp))
    tcp = tcp[:16] + checksum(pseudo + tcp).to_bytes(2, "big") + tcp[18:]
    size = IP.size + len(tcp)
    ip = IP.pack(0x45, 0, size, 0, 0, 64, 6, 0, target, source)
    return ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:] + tcp


def checksum(data: bytes) -> int:
    """RFC 1071's; an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
