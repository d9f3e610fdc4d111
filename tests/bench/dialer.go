// What a prober in Go pays for a dial: net.Dialer, as anyone would write it.
//
// `dialer IN_FLIGHT`: each line on stdin is an order, PORT DIALS RATE; a rate of 0 means as fast
// as IN_FLIGHT goroutines can, any other that many per second, a goroutine for each dial. Each
// order is answered by one line of JSON. What connects is closed by RST.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const addresses = 2000

var dialer = net.Dialer{Timeout: 4 * time.Second}

type tally struct{ connected, refused, failed atomic.Int64 }

func (t *tally) dial(target string) {
	connection, err := dialer.Dial("tcp", target)
	switch {
	case err == nil:
		connection.(*net.TCPConn).SetLinger(0)
		connection.Close()
		t.connected.Add(1)
	case errors.Is(err, syscall.ECONNREFUSED):
		t.refused.Add(1)
	default:
		t.failed.Add(1)
	}
}

// saturated lets so many goroutines dial one target after the other.
func saturated(t *tally, targets []string, dials, workers int) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := int(next.Add(1)) - 1; i < dials; i = int(next.Add(1)) - 1 {
				t.dial(targets[i%addresses])
			}
		}()
	}
	done.Wait()
}

// paced starts a goroutine for each dial when its time has come.
func paced(t *tally, targets []string, dials, rate int) {
	var done sync.WaitGroup
	began := time.Now()
	for i := range dials {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		done.Add(1)
		go func() {
			defer done.Done()
			t.dial(targets[i%addresses])
		}()
	}
	done.Wait()
}

func cpu() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func main() {
	workers, _ := strconv.Atoi(os.Args[1])
	var port, dials, rate int
	for {
		if _, err := fmt.Scanln(&port, &dials, &rate); err != nil {
			return
		}
		targets := make([]string, addresses)
		for i := range targets {
			targets[i] = fmt.Sprintf("127.77.%d.%d:%d", i/250, 1+i%250, port)
		}
		var t tally
		spent, began := cpu(), time.Now()
		if rate == 0 {
			saturated(&t, targets, dials, workers)
		} else {
			paced(&t, targets, dials, rate)
		}
		fmt.Printf("{\"connected\": %d, \"refused\": %d, \"failed\": %d, \"cpu\": %.6f, \"wall\": %.6f}\n",
			t.connected.Load(), t.refused.Load(), t.failed.Load(), cpu()-spent, time.Since(began).Seconds())
	}
}
